package mllp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntil(t *testing.T) {
	ended := func(t *testing.T, u *until, want error) {
		t.Helper()
		if err := u.Err(); !errors.Is(err, want) {
			t.Errorf("the context says %v, want %v", err, want)
		}
		select {
		case <-u.Done():
		default:
			t.Error("who waits is not told")
		}
		if err := u.Err(); !errors.Is(err, want) {
			t.Errorf("waited for, the context says %v, want %v", err, want)
		}
	}
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			begin := func(parent context.Context) *until {
				u := newUntil(parent, time.Second)
				if waits {
					select {
					case <-u.Done():
						t.Error("over at once")
					default:
					}
				}
				if err := u.Err(); err != nil {
					t.Errorf("the context says %v at once", err)
				}
				return u
			}
			late := begin(t.Context())
			child, cancel := context.WithCancel(late)
			defer cancel()
			time.Sleep(time.Second)
			synctest.Wait()
			ended(t, late, context.DeadlineExceeded)
			if !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Error("what rests on the context goes on without it")
			}
			late.stop()
			ended(t, late, context.DeadlineExceeded)

			parent, end := context.WithCancel(t.Context())
			u := begin(parent)
			end()
			ended(t, u, context.Canceled)
			u.stop()

			u = begin(t.Context())
			u.stop()
			ended(t, u, context.Canceled)
		})
	}
}
