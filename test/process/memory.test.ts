/** What stays in keyhole's memory, read from outside by its parent, as whoever gets hold of the node would. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { followersInMemory, foundInMemory } from '../../src/testing/process-state.ts'
import { KEYHOLE, putSealed, SAMPLE_POLICY } from '../../src/testing/sample.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { createAuthority } from '../certificates.ts'
import { get } from './world.ts'

const SECRETS = 300
const FILES = 100

/** Canaries that begin alike, so that all are found in one pass, and end each in its own way. */
const GRANTED = `granted-${randomBytes(12).toString('hex')}`
const WITHHELD = `withheld${randomBytes(12).toString('hex')}`
const FILE = `a-file--${randomBytes(12).toString('hex')}`

const json = Array.from({ length: SECRETS }, (_, index) => ({
  name: `json-${index}`,
  // Other lengths, so that no answer lies exactly over the one before.
  text: JSON.stringify({ padding: 'x'.repeat((index * 7_919) % 20_000), A: tagged(GRANTED), B: tagged(WITHHELD) }),
}))
const files = Array.from({ length: FILES }, (_, index) => ({ name: `file-${index}`, text: tagged(FILE) }))

function tagged(marker: string): string {
  return marker + randomBytes(12).toString('hex')
}

function grant(name: string, rest: string): string {
  return `apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: ${name}, namespace: payments }
spec:
  secretRef: { name: ${name}${rest}
  transitKey: payments
`
}

const policy = {
  ...SAMPLE_POLICY,
  ...inFiles(
    'json',
    json.map(({ name }) => `${grant(name, ', key: secrets.json }')}  readers: [{ serviceAccount: api, keys: [A] }]\n`),
  ),
  ...inFiles(
    'files',
    files.map(
      ({ name }) => `${grant(name, ' }')}  format: files\n  readers: [{ serviceAccount: api, keys: [value] }]\n`,
    ),
  ),
}

/** A file of a policy holds so many tokens and no more. */
function inFiles(prefix: string, documents: readonly string[]): Record<string, string> {
  const files: Record<string, string> = {}
  for (let at = 0; at < documents.length; at += 50) {
    files[`${prefix}-${at}.yaml`] = documents.slice(at, at + 50).join('---\n')
  }
  return files
}

interface Spellings {
  readonly plain: number
  /** In base64. */
  readonly encoded: number
}

/** A moment passes between a reply and its wiping: so many looks at the same are no moment. */
const LOOKS = 5

/** How many there are at last: looks until there are no more than may be, or until nothing changes any more. */
async function left(pid: number, marker: string, most: Spellings): Promise<Spellings> {
  let found = await spellings(pid, marker)
  for (let same = 0; same < LOOKS && (found.plain > most.plain || found.encoded > most.encoded); ) {
    const next = await spellings(pid, marker)
    same = next.plain === found.plain && next.encoded === found.encoded ? same + 1 : 0
    found = next
  }
  return found
}

/** How many different canaries with this marker there are, in every spelling that a process could give them. */
async function spellings(pid: number, marker: string): Promise<Spellings> {
  const count = async (bytes: Buffer) => (await followersInMemory(pid, bytes, 16)).size
  const bytes = Buffer.from(marker)
  const base64 = [0, 1, 2].map((at) => Buffer.from(bytes.subarray(at, at + 30).toString('base64')))
  const twoByte = await count(Buffer.from(marker, 'utf16le'))
  const hex = await count(Buffer.from(bytes.toString('hex')))
  const encoded = await Promise.all(base64.map(count))
  return { plain: (await count(bytes)) + twoByte + hex, encoded: Math.max(...encoded) }
}

describe('after hundreds of replies over TLS, in the memory of the process', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-memory-'))
  const authority = createAuthority()
  const agent = new Agent({ keepAlive: true, maxSockets: 8, ca: authority.ca })
  let standins: Standins
  let keyhole: KeyholeProcess
  let token: string

  beforeAll(async () => {
    const pair = authority.issue()
    writeFileSync(join(directory, 'tls.crt'), pair.cert)
    writeFileSync(join(directory, 'tls.key'), pair.key)
    standins = await startStandins(undefined, { ...pair, ca: authority.ca })
    const { kubernetes, vault } = standins
    const put = (name: string, data: Record<string, string>) =>
      putSealed(kubernetes, vault, { namespace: 'payments', name, data })
    for (const { name, text } of json) put(name, { 'secrets.json': text })
    for (const { name, text } of files) put(name, { value: text })
    kubernetes.allow(
      { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount },
      {
        verbs: ['get'],
        group: '',
        resource: 'secrets',
        namespace: 'payments',
        names: [...json, ...files].map(({ name }) => name),
      },
    )
    const settings = {
      ...UNBOUNDED,
      KEYHOLE_TLS_CERT_FILE: join(directory, 'tls.crt'),
      KEYHOLE_TLS_KEY_FILE: join(directory, 'tls.key'),
    }
    keyhole = await startKeyholeProcess(standins.upstreams, { policy, settings })
    token = standins.tokenOf('api')
  })

  afterAll(async () => {
    agent.destroy()
    await keyhole?.[Symbol.asyncDispose]()
    await standins?.[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  async function readAll(paths: readonly string[], headers: Record<string, string> = {}): Promise<number> {
    const left = [...paths]
    let read = 0
    async function reader(): Promise<void> {
      for (let path = left.shift(); path !== undefined; path = left.shift()) {
        const reply = await get(keyhole.url + path, { token, headers, agent })
        if (reply.status === 200) read += 1
      }
    }
    await Promise.all(Array.from({ length: 8 }, reader))
    return read
  }

  async function expectAtMost(marker: string, most: Spellings): Promise<void> {
    const { plain, encoded } = await left(keyhole.pid, marker, most)
    expect(plain).toBeLessThanOrEqual(most.plain)
    expect(encoded).toBeLessThanOrEqual(most.encoded)
  }

  test('this can be looked into: it is Linux, and the process is ours', () => {
    expect(process.platform).toBe('linux')
  })

  test('there are at most two granted values, and no value that was not granted', async () => {
    expect(await readAll(json.map(({ name }) => `/secrets/${name}`))).toBe(SECRETS)
    // In base64, as Vault sent it: the last answer, in a buffer of Node's or OpenSSL's that the next one will overwrite.
    await expectAtMost(GRANTED, { plain: 2, encoded: 2 })
    await expectAtMost(WITHHELD, { plain: 0, encoded: 2 })
  })

  test('there are at most two files, whether sent in base64 or as they are', async () => {
    const whole = { accept: 'application/octet-stream' }
    expect(await readAll(files.map(({ name }) => `/secrets/${name}`))).toBe(FILES)
    // The reply itself is base64 here.
    await expectAtMost(FILE, { plain: 0, encoded: 4 })
    expect(
      await readAll(
        files.map(({ name }) => `/secrets/${name}?key=value`),
        whole,
      ),
    ).toBe(FILES)
    await expectAtMost(FILE, { plain: 2, encoded: 2 })
  })

  test("there may be the caller's token, which comes as a string: the search finds what is there", async () => {
    expect(await foundInMemory(keyhole.pid, [Buffer.from(token)])).toBe(1)
  })
})
