/** What a data key of a Secret must hold: base64 of `vault:v<version>:<base64>`. */

export interface TransitCiphertext {
  readonly ciphertext: string
  readonly keyVersion: number
}

const CIPHERTEXT = /^vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/]+={0,2}$/

/** One that no key opens, to ask Vault with: version, key and context it looks at first, and refuses it for these. */
export function probeCiphertext(keyVersion: number): string {
  return `vault:v${keyVersion}:AAAA`
}

/** @param stored as the Secret has it, in base64. Answers with a word for what is wrong with it instead. */
export function transitCiphertext(
  stored: string,
): TransitCiphertext | 'empty' | 'not-base64' | 'not-transit-ciphertext' {
  if (stored === '') return 'empty'
  const bytes = Buffer.from(stored, 'base64')
  if (bytes.toString('base64') !== stored) return 'not-base64'
  const ciphertext = bytes.toString('latin1')
  const keyVersion = keyVersionOf(ciphertext)
  return keyVersion === undefined ? 'not-transit-ciphertext' : { ciphertext, keyVersion }
}

/** Undefined for what is no ciphertext of Transit. */
function keyVersionOf(ciphertext: string): number | undefined {
  const version = CIPHERTEXT.exec(ciphertext)?.[1]
  return version === undefined ? undefined : Number(version)
}
