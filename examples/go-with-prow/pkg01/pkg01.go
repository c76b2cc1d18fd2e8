// Package pkg01 greets.
package pkg01

// Hello returns this package's greeting.
func Hello() string {
	return helloPkg01()
}

func helloPkg01() string {
	return "Hello from Pkg01!"
}
