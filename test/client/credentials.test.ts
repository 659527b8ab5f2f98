import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ClientError } from '../../src/client/client-error.ts'
import { readCa, readToken } from '../../src/client/credentials.ts'
import { createAuthority } from '../certificates.ts'
import { expectNoTraceOf } from '../external/traces.ts'

const CANARY = 'canary-of-a-file'
let directory = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-credentials-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function holding(content: string): string {
  const path = join(directory, 'file')
  writeFileSync(path, content)
  return path
}

function thrownOver(read: (path: string) => string, path: string): ClientError {
  try {
    read(path)
  } catch (error) {
    expect(error).toBeInstanceOf(ClientError)
    expectNoTraceOf([CANARY, directory], error)
    return error as ClientError
  }
  return expect.fail('nothing was thrown')
}

test('a token may have white space around it, as an editor or a shell leaves it', () => {
  for (const content of [CANARY, `${CANARY}\n`, `\r\n ${CANARY} \r\n`]) expect(readToken(holding(content))).toBe(CANARY)
})

test.each([
  ['nothing', '', 'is empty'],
  ['white space', ' \n', 'is empty'],
  ['two lines', `${CANARY}\n${CANARY}`, 'holds no token'],
  ['a header of its own', `${CANARY}\r\nX-Evil: 1`, 'holds no token'],
  ['bytes that are no text', `${CANARY}\0`, 'holds no token'],
  ['what no header takes', `${CANARY}é`, 'holds no token'],
  ['more than any token', CANARY.repeat(2_000), 'holds no token'],
  ['more than any file', CANARY.repeat(100_000), 'is larger than 1 MiB'],
])('%s is no token, and is not quoted', (_, content, why) => {
  const error = thrownOver(readToken, holding(content))
  expect(error).toMatchObject({ kind: 'token-file', message: `The token file ${why}.` })
})

test('a file that is not there, a directory, and one that may not be read are told apart', () => {
  expect(thrownOver(readToken, join(directory, 'none')).message).toMatch(/there is no such file\.$/)
  expect(thrownOver(readToken, directory).message).toMatch(/it is a directory\.$/)
  const secret = holding(CANARY)
  chmodSync(secret, 0)
  // Root reads it all the same.
  if (process.getuid?.() !== 0) expect(thrownOver(readToken, secret).message).toMatch(/permission denied\.$/)
  chmodSync(secret, 0o600)
})

test('a CA file may hold several, and must hold one', () => {
  const pem = `${createAuthority('a').ca}# and\n${createAuthority('b').ca}`
  expect(readCa(holding(pem))).toBe(pem)
  for (const content of ['', CANARY, `-----BEGIN CERTIFICATE-----\n${CANARY}\n-----END CERTIFICATE-----\n`]) {
    expect(thrownOver(readCa, holding(content))).toMatchObject({
      kind: 'ca-file',
      message: 'The CA file holds no certificate in PEM.',
    })
  }
})
