package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// examineTPM looks at the chip's way to the daemon. How the keys stand the daemon tells itself.
func (h *Host) examineTPM(_ context.Context, c Config) []Finding {
	r := report{area: "tpm"}
	dev := c.TPM.Device
	fi, err := os.Stat(h.path(dev))
	if errors.Is(err, os.ErrNotExist) {
		chips, _ := filepath.Glob(h.path("/sys/class/tpm/tpm*"))
		switch {
		case len(chips) == 0:
			r.add(dev, Fail, "switch the TPM (Intel PTT, AMD fTPM) on in the firmware set-up; on a virtual machine add a vTPM", "this machine shows no TPM")
		default:
			r.add(dev, Fail, "run: modprobe tpm_tis tpm_crb, and look at: journalctl -k -g tpm; tpm.device in "+c.Path+" names another", "the kernel knows a TPM, and %s is not there", dev)
		}
		return r.list
	}
	if err != nil {
		state, next := needRoot(err)
		r.add(dev, state, next, "it cannot be looked at")
		return r.list
	}
	if fi.Mode()&os.ModeSocket != 0 {
		r.ok(dev, "is the socket of a software TPM")
		return r.list
	}
	if v := h.read("/sys/class/tpm/tpm0/tpm_version_major"); v == "1" {
		r.add(dev, Fail, "switch TPM 2.0 on in the firmware set-up", "is a TPM 1.2, which cannot hold the keys")
	}
	if a, ok := h.account("pinward"); ok {
		if may, how := h.mayUse(a, fi, 6); !may {
			r.add(dev, Fail, "install tpm-udev, then: usermod -aG tss pinward && systemctl restart pinward", "the daemon may not open it (%s)", how)
		}
	}
	if others, _ := h.holders(h.path(dev)); len(others) > 0 && len(r.list) == 0 {
		for _, p := range others {
			if p.name != "pinwardd" && p.name != "systemd" {
				r.add(dev, Warn, "if it is not needed, stop it: two programs share the chip's few slots", "%s has it open", names([]process{p}))
			}
		}
	}
	if len(r.list) == 0 {
		r.ok(dev, "is there, and the daemon may open it")
	}
	return r.list
}
