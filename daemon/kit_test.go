package daemon

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pinward/daemon/admin"
)

// TestKitCodeScans draws the code that stands on the printed page and has a real reader read it: a
// code that cannot be scanned is found out on the night when it is needed.
func TestKitCodeScans(t *testing.T) {
	const share = "PW1 clinic-7 2/3 QZBT VYHZ V6U4 X36K 7ADT L2GV J6R7 7QEI MO5M TZTZ 5ZFJ 4"
	page, err := kitPage(admin.Kit{
		Box: "clinic-7", Holders: []string{"Ann <script>"}, Shares: []string{share},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"share 1 of 3", "QZBT VYHZ V6U4", "Ann &lt;script&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	file := filepath.Join(t.TempDir(), "code.png")
	rasterise(t, page, file)
	out, err := exec.Command("zbarimg", "--quiet", "--raw", file).Output()
	if err != nil {
		t.Fatalf("read code with zbarimg: %v", err)
	}
	if got := strings.TrimSpace(string(out)); got != share {
		t.Fatalf("the code reads %q, want %q", got, share)
	}
}

// rasterise draws the squares of the SVG's path, four pixels to a module.
func rasterise(t *testing.T, svg, file string) {
	t.Helper()
	var side int
	if _, err := fmt.Sscanf(regexp.MustCompile(`viewBox="0 0 \d+`).FindString(svg), `viewBox="0 0 %d`, &side); err != nil {
		t.Fatal(err)
	}
	const scale = 4
	img := image.NewGray(image.Rect(0, 0, side*scale, side*scale))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h1v1h-1z`).FindAllStringSubmatch(svg, -1) {
		var x, y int
		fmt.Sscan(m[1], &x)
		fmt.Sscan(m[2], &y)
		for dy := range scale {
			for dx := range scale {
				img.SetGray(x*scale+dx, y*scale+dy, color.Gray{})
			}
		}
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
}
