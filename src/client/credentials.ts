/** What a caller shows and whom it trusts: small files that somebody else renews, so they are read anew for every call. */
import { X509Certificate } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { ClientError } from './client-error.ts'

/** @throws ClientError token-file, without anything that the file holds. */
export function readToken(path: string): string {
  const token = read(path, 'token-file').trim()
  if (token === '') throw new ClientError('token-file', 'The token file is empty.')
  // Anything that could end a header early is no token.
  if (!/^[\x21-\x7e]{1,16384}$/.test(token)) throw new ClientError('token-file', 'The token file holds no token.')
  return token
}

/** @throws ClientError ca-file. Never answers with an empty text: Node would trust every public CA instead. */
export function readCa(path: string): string {
  const pem = read(path, 'ca-file')
  const certificates = pem.match(CERTIFICATE) ?? []
  // OpenSSL passes over what it cannot read; a CA that is half there is none.
  if (certificates.length === 0 || !certificates.every(isCertificate)) {
    throw new ClientError('ca-file', 'The CA file holds no certificate in PEM.')
  }
  return pem
}

/** Also one without an end, which is what a half-written file has. */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?(?:-----END CERTIFICATE-----|$)/g

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined
  } catch {
    return false
  }
}

const MAX_BYTES = 1024 * 1024

function read(path: string, kind: 'token-file' | 'ca-file'): string {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const bytes = Buffer.alloc(MAX_BYTES)
    let length = 0
    for (let got = -1; got !== 0 && length < MAX_BYTES; length += got)
      got = readSync(file, bytes, length, MAX_BYTES - length, null)
    const text = bytes.toString('utf8', 0, length)
    bytes.fill(0)
    if (length < MAX_BYTES) return text
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new ClientError(kind, `${NAMES[kind]} cannot be read: ${WORDS[code] ?? code}.`)
  } finally {
    if (file !== undefined) closeSync(file)
  }
  throw new ClientError(kind, `${NAMES[kind]} is larger than 1 MiB.`)
}

/** Not by their paths: whoever pastes a token where its path belongs should not find it in a log. */
const NAMES = { 'token-file': 'The token file', 'ca-file': 'The CA file' } as const

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
}
