// Passkeys in the browser: the server's options go in as JSON, the authenticator's answer comes out as JSON.

/** Why the authenticator gave no answer. */
export class PasskeyFailure extends Error {
  override readonly name = 'PasskeyFailure';

  constructor(
    /** refused: not recognised, or not in time; known: it has a passkey of this person already; missing: no reader. */
    readonly why: 'refused' | 'known' | 'missing',
    cause?: unknown,
  ) {
    super(why, { cause });
  }
}

function failureOf(error: unknown): PasskeyFailure {
  return new PasskeyFailure(error instanceof DOMException && error.name === 'InvalidStateError' ? 'known' : 'refused', error);
}

function supported(): void {
  if (typeof PublicKeyCredential === 'undefined' || !('parseRequestOptionsFromJSON' in PublicKeyCredential)) {
    throw new PasskeyFailure('missing');
  }
}

/** Asks for a touch. Throws PasskeyFailure. */
export async function touch(options: string): Promise<string> {
  supported();
  try {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(
      JSON.parse(options) as PublicKeyCredentialRequestOptionsJSON,
    );
    return JSON.stringify(await navigator.credentials.get({ publicKey }));
  } catch (error) {
    throw failureOf(error);
  }
}

/** Makes a new passkey. Throws PasskeyFailure. */
export async function makePasskey(options: string): Promise<string> {
  supported();
  try {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(
      JSON.parse(options) as PublicKeyCredentialCreationOptionsJSON,
    );
    return JSON.stringify(await navigator.credentials.create({ publicKey }));
  } catch (error) {
    throw failureOf(error);
  }
}
