package main

import (
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"example.com/go-with-prow/pkg01"
	"example.com/go-with-prow/pkg02"
)

func TestMainSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Main Suite")
}

var _ = Describe("helloMain function", func() {
	Context("output", func() {
		It("should be Hello from main!", func() {
			Expect(helloMain()).To(BeIdenticalTo("Hello from main!"))
		})
	})
})

var _ = Describe("greet function", func() {
	It("should write the greeting of every package on a line of its own", func() {
		var out strings.Builder
		greet(&out)
		Expect(strings.Split(strings.TrimSpace(out.String()), "\n")).
			To(Equal([]string{helloMain(), pkg01.Hello(), pkg02.Hello()}))
	})
})
