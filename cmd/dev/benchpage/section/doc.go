// Package section keeps the measured parts of a Markdown page. In comes what one
// command measured; out goes the page with that command's block, between two marker
// lines, written anew. It never changes what stands outside the markers, which is
// written by people.
package section
