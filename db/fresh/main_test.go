package fresh_test

import (
	"testing"

	"example.com/leeway/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
