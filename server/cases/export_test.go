package cases

// ProofWords is the list of proof words, for its review.
var ProofWords = proofWords
