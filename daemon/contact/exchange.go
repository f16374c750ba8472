package contact

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/nyaruka/phonenumbers"
)

// The North American plan assigns numbers by exchange: all ten thousand of an area code and exchange have
// one region and one type. The library tries two dozen regions with a dozen patterns each to say so, which
// is most of what reading a message would cost; so its word on an exchange is asked for once. What is
// remembered are area codes and exchanges, nobody's number.

// exchange is what the library says of an area code and exchange.
type exchange struct {
	region string // ISO 3166-1, "" where the plan has none
	line   phonenumbers.PhoneNumberType
}

// areaTable holds the exchanges of one area code, by their three digits: 0 where the library was not
// asked yet, else one more than the place in verdicts.
type areaTable [1000]atomic.Uint32

// areas are the tables of the area codes that came up, of four kilobytes each; there are 800 codes at most.
var areas [1000]atomic.Pointer[areaTable]

// verdicts are the different answers of the library: fewer than a hundred.
var verdicts struct {
	sync.RWMutex
	list []exchange
}

// exchangeOf tells the exchange of a national number of ten digits.
func exchangeOf(national uint64) exchange {
	area := &areas[national/1e7%1000]
	t := area.Load()
	if t == nil {
		area.CompareAndSwap(nil, new(areaTable))
		t = area.Load()
	}
	slot := &t[national/1e4%1000]
	if i := slot.Load(); i > 0 {
		verdicts.RLock()
		defer verdicts.RUnlock()
		return verdicts.list[i-1]
	}
	country, any := int32(1), national/1e4*1e4+2345
	n := &phonenumbers.PhoneNumber{CountryCode: &country, NationalNumber: &any}
	x := exchange{phonenumbers.GetRegionCodeForNumber(n), phonenumbers.GetNumberType(n)}
	verdicts.Lock()
	defer verdicts.Unlock()
	i := slices.Index(verdicts.list, x)
	if i < 0 {
		i, verdicts.list = len(verdicts.list), append(verdicts.list, x)
	}
	slot.Store(uint32(i) + 1)
	return x
}

// assigned is what the plan says of a number: its national digits, E.164 form, region and type.
func assigned(n *phonenumbers.PhoneNumber) (national, e164 string, x exchange) {
	if v := n.GetNationalNumber(); n.GetCountryCode() == 1 && v >= 2e9 && v < 1e10 && !n.GetItalianLeadingZero() {
		national = strconv.FormatUint(v, 10)
		return national, "+1" + national, exchangeOf(v)
	}
	return phonenumbers.GetNationalSignificantNumber(n), phonenumbers.Format(n, phonenumbers.E164),
		exchange{phonenumbers.GetRegionCodeForNumber(n), phonenumbers.GetNumberType(n)}
}
