package pkg02

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestPkg02Suite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Pkg02 Suite")
}

var _ = Describe("helloPkg02 function", func() {
	Context("output", func() {
		It("should be Hello from Pkg02!", func() {
			Expect(helloPkg02()).To(BeIdenticalTo("Hello from Pkg02!"))
		})
	})
})
