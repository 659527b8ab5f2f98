/** That rotation never sees plaintext is held by the compiler: each `@ts-expect-error` is an error where the line below it compiles. */
import { expect, it } from 'vitest'
import type { Granted } from '../../src/policy/decide.ts'
import type { Grant, RotationGrant } from '../../src/services/authorize.ts'
import type { CiphertextReader } from '../../src/services/ciphertext.ts'
import type { Decrypt, Transit } from '../../src/services/decrypt.ts'
import type { Open } from '../../src/services/open.ts'
import type { HeldSecret, TransitRotation } from '../../src/services/rotation/ports.ts'
import { filesGrantOf, sealedOf } from './permits.ts'

declare const held: HeldSecret
declare const toRotate: RotationGrant
declare const granted: Granted
declare const rotation: TransitRotation
declare const ciphertext: CiphertextReader
declare const open: Open
declare const decrypt: Decrypt

const { signal } = new AbortController()

/** Never called: only compiled. */
function mustNotCompile(): void {
  // @ts-expect-error what a rotation reads is not sealed
  void open(held, signal)

  // @ts-expect-error not to the stage below, either
  void decrypt.open(held, signal)

  // @ts-expect-error nor is it sealed by whoever may rotate
  void open({ ...sealedOf(filesGrantOf()), grant: toRotate }, signal)

  // @ts-expect-error a grant to rotate reads nothing that could be opened
  void ciphertext.read(toRotate, signal)

  // @ts-expect-error not even with all that a grant to read says
  const widened: Grant = { ...toRotate, ...granted, name: 'db', raw: false }
  void widened

  // @ts-expect-error the face of Vault that rotates is none that decrypts
  const face: Transit = rotation
  void face
}

/** Never called: only compiled. */
async function mustCompile(): Promise<void> {
  void open(await ciphertext.read(filesGrantOf(), signal), signal)
}

it('is held by the compiler', () => {
  expect([mustNotCompile, mustCompile]).toHaveLength(2)
})
