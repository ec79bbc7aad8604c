package blob

import "crypto/ed25519"

// Signer is an Ed25519 key made of this one, for signatures that anybody can
// check who has its public half. It serves nothing else.
func (k *Key) Signer() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(k.subkey("ed25519"))
}

// Signer is the Ed25519 key of the key of that name, which is made where there
// is none.
func (k *Keys) Signer(name string) (ed25519.PrivateKey, error) {
	key, err := k.Ensure(name)
	if err != nil {
		return nil, err
	}
	return key.Signer(), nil
}
