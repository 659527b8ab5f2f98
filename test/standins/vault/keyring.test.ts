import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Random } from '../../../src/standins/server.ts'
import { decodeLikeGo } from '../../../src/standins/vault/base64.ts'
import type { Keyring } from '../../../src/standins/vault/keyring.ts'
import { createKeyring } from '../../../src/standins/vault/keyring.ts'
import { virtualClock } from '../../virtual-clock.ts'

function keyring(derived: boolean, random: Random = randomBytes, createdAtMs?: readonly number[]): Keyring {
  return createKeyring({ derived, random, clock: virtualClock(), createdAtMs })
}

const HERE = Buffer.from('here')
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))
const context = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((array) => Buffer.from(array))
const FIXED = { seed: 20261122 }

describe('a Transit key', () => {
  it('opens what a real Vault 1.21 sealed under the same key', () => {
    const exported = Buffer.from('JBnse1V6azBevti8ax/vOqG4xaUj4CWv6TWnrinA6zk=', 'base64')
    const key = keyring(true, () => exported)
    const ciphertext = 'vault:v1:5gg4+z6n78PQuRXonrU4E4JUtnD4bdu8eB/otml2uhHV'
    expect(key.decrypt(ciphertext, Buffer.from('place')).toString()).toBe('hello')
  })

  it('gives back what was encrypted, in every context, before and after rotations', () => {
    const key = keyring(true)
    fc.assert(
      fc.property(bytes, context, fc.boolean(), (plaintext, place, rotate) => {
        const { ciphertext } = key.encrypt(plaintext, place, 0)
        if (rotate) key.rotate()
        expect(key.decrypt(ciphertext, place).equals(plaintext)).toBe(true)
      }),
      FIXED,
    )
  })

  it('gives nothing in another context', () => {
    const key = keyring(true)
    fc.assert(
      fc.property(bytes, context, context, (plaintext, place, other) => {
        fc.pre(!place.equals(other))
        const { ciphertext } = key.encrypt(plaintext, place, 0)
        expect(() => key.decrypt(ciphertext, other)).toThrow('cipher: message authentication failed')
      }),
      FIXED,
    )
  })

  it('gives nothing after any byte was changed', () => {
    const key = keyring(false)
    fc.assert(
      fc.property(bytes, fc.nat(), fc.integer({ min: 1, max: 255 }), (plaintext, at, change) => {
        const { ciphertext } = key.encrypt(plaintext, undefined, 0)
        const sealed = Buffer.from(ciphertext.slice('vault:v1:'.length), 'base64')
        sealed.writeUInt8(sealed.readUInt8(at % sealed.length) ^ change, at % sealed.length)
        expect(() => key.decrypt(`vault:v1:${sealed.toString('base64')}`, undefined)).toThrow(
          'cipher: message authentication failed',
        )
      }),
      FIXED,
    )
  })

  it('does not seal twice alike', () => {
    const key = keyring(false)
    expect(key.encrypt(HERE, undefined, 0).ciphertext).not.toBe(key.encrypt(HERE, undefined, 0).ciphertext)
  })

  it('says where its versions stand', () => {
    const key = keyring(true)
    key.rotate()
    key.configure({ minDecryptionVersion: 2, minEncryptionVersion: 2 })
    expect(key.state).toMatchObject({
      derived: true,
      latestVersion: 2,
      minDecryptionVersion: 2,
      minEncryptionVersion: 2,
      minAvailableVersion: 0,
    })
  })

  it('knows when each version was made: by the clock, or as it was told', async () => {
    const clock = virtualClock()
    const start = clock.now()
    const key = createKeyring({ derived: false, random: randomBytes, clock, createdAtMs: [1_000, 2_000] })
    await clock.advance(5_000)
    key.rotate()
    expect([...key.state.createdAtMs]).toEqual([
      [1, 1_000],
      [2, 2_000],
      [3, start + 5_000],
    ])
  })

  it('keeps what cannot be taken back, and changes nothing when it refuses', () => {
    const key = keyring(false)
    key.configure({ exportable: true, allowPlaintextBackup: true, deletionAllowed: true })
    key.configure({ exportable: false, allowPlaintextBackup: false, deletionAllowed: false })
    expect(() => key.configure({ deletionAllowed: true, minDecryptionVersion: 2 })).toThrow('latest key version is 1')
    expect(key.state).toMatchObject({ exportable: true, allowPlaintextBackup: true, deletionAllowed: false })
  })

  it('takes no minimum above its latest version', () => {
    const key = keyring(false)
    expect(() => key.configure({ minDecryptionVersion: 2 })).toThrow(
      'cannot set min decryption version of 2, latest key version is 1',
    )
    expect(() => key.configure({ minEncryptionVersion: 2 })).toThrow(
      'cannot set min encryption version of 2, latest key version is 1',
    )
    expect(key.state).toMatchObject({ minDecryptionVersion: 1, minEncryptionVersion: 0 })
  })

  it('trims nothing that it may still use, and what it trimmed stays gone', () => {
    const key = keyring(false)
    const { ciphertext } = key.encrypt(HERE, undefined, 0)
    key.rotate()
    expect(() => key.trim(2)).toThrow('must reach minAvailableVersion first')
    key.configure({ minDecryptionVersion: 2 })
    expect(() => key.trim(2)).toThrow('must reach minAvailableVersion first')
    key.configure({ minEncryptionVersion: 2 })
    key.trim(2)
    expect(() => key.configure({ minDecryptionVersion: 1 })).toThrow('should not be less then min available version')
    expect(() => key.decrypt(ciphertext, undefined)).toThrow('too old')
  })
})

describe('base64 as Go decodes it', () => {
  it('takes everything that is padded base64', () => {
    fc.assert(
      fc.property(bytes, (plain) => {
        expect(decodeLikeGo(plain.toString('base64'))).toEqual({ bytes: plain })
      }),
      FIXED,
    )
  })

  it('takes no base64 without its padding', () => {
    fc.assert(
      fc.property(bytes, (plain) => {
        const unpadded = plain.toString('base64url').replaceAll('-', '+').replaceAll('_', '/')
        fc.pre(unpadded.length % 4 !== 0)
        const at = unpadded.length - (unpadded.length % 4)
        expect(decodeLikeGo(unpadded)).toEqual({ error: `illegal base64 data at input byte ${at}` })
      }),
      FIXED,
    )
  })

  it('ignores line breaks anywhere', () => {
    expect(decodeLikeGo('YW\nJj\r\nZA=\n=\n')).toEqual({ bytes: Buffer.from('abcd') })
  })
})
