// Package spelling finds the word that a misspelt one was probably meant to be. Words
// come in and a suggestion goes out; it knows no words of its own.
package spelling

// farthest is the distance of a misspelt word from the one that was meant.
const farthest = 3

// Nearest gives the known word that one was probably meant to be; false where
// none is near.
func Nearest(word string, known []string) (string, bool) {
	best, least := "", farthest+1
	for _, k := range known {
		if d := Distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best, best != ""
}

// Distance is the Levenshtein distance of two words, in bytes.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diag+cost)
		}
	}
	return row[len(b)]
}
