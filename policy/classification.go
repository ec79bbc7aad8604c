package policy

// Mark is one line of the classification of what the system holds (第6の2).
type Mark struct {
	// Level is the grade, as the directive writes it.
	Level string
	// Ja and En name the property together with its grade.
	Ja, En string
}

// Classification is how everything in the system is classified (第6の2). It is
// shown on every print, share and export.
var Classification = struct{ Confidentiality, Integrity, Availability Mark }{
	Confidentiality: Mark{"2(中)", "機密性2(中)", "Confidentiality 2 (medium)"},
	Integrity:       Mark{"2(高)", "完全性2(高)", "Integrity 2 (high)"},
	Availability:    Mark{"1(低)", "可用性1(低)", "Availability 1 (low)"},
}

// ClassificationText is the classification in one line, in ja or en.
func ClassificationText(language string) string {
	c := Classification
	if language == "ja" {
		return c.Confidentiality.Ja + "・" + c.Integrity.Ja + "・" + c.Availability.Ja
	}
	return c.Confidentiality.En + " · " + c.Integrity.En + " · " + c.Availability.En
}
