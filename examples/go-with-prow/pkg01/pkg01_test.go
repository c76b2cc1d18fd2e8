package pkg01

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestPkg01Suite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Pkg01 Suite")
}

var _ = Describe("helloPkg01 function", func() {
	Context("output", func() {
		It("should be Hello from Pkg01!", func() {
			Expect(helloPkg01()).To(BeIdenticalTo("Hello from Pkg01!"))
		})
	})
})
