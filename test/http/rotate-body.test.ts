/** The body of POST /rotate as it comes off the wire: its bounds, its types, and what may not be read in two ways. */
import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { checked } from '../contract/checked.ts'
import { problem } from '../routes/ask.ts'
import type { RotationWorld } from '../routes/rotation-world.ts'
import { reportIn, startRotationWorld, until } from '../routes/rotation-world.ts'
import type { Answer } from './line.ts'
import { dial, get } from './line.ts'

let world: RotationWorld
beforeAll(async () => {
  world = await startRotationWorld({ settings: { KEYHOLE_REFUSALS_BURST: '1000' } })
})
afterAll(() => world[Symbol.asyncDispose]())
beforeEach(() => world.forget())

const TYPE = { 'Content-Type': 'application/json' }

/** Sends these bytes as the body, without a length where the headers say so, and takes the one answer. */
async function post(body: string | Buffer, headers: Readonly<Record<string, string>>): Promise<Answer> {
  await using line = await dial(world.keyhole.url)
  const bytes = Buffer.from(body)
  const framing = 'Transfer-Encoding' in headers ? {} : { 'Content-Length': String(bytes.length) }
  const authorization = { Authorization: `Bearer ${world.tokenOf('rotator')}` }
  line.send(get('/rotate', { ...authorization, ...framing, ...headers }, 'POST') + bytes.toString('latin1'))
  const answer = checked({ method: 'POST', path: '/rotate' }, await line.answer())
  // Whatever came behind its body is never taken for a request.
  expect(await line.closed()).toBe('')
  return answer
}

function chunked(...parts: readonly string[]): string {
  return [...parts, ''].map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')
}

const DRY = '{"dryRun":true}'
const padded = (length: number) => DRY.padEnd(length)

async function refusalOf(body: string | Buffer, headers: Readonly<Record<string, string>> = TYPE) {
  const answer = await post(body, headers)
  expect(world.calls()).toEqual([])
  return [answer.status, problem(answer).code]
}

describe('a body of more than 4 KiB', () => {
  it.each([
    ['with its length', padded(4_097), TYPE],
    ['that only says so', '', { ...TYPE, 'Content-Length': '1000000' }],
    ['in one chunk', chunked(padded(4_097)), { ...TYPE, 'Transfer-Encoding': 'chunked' }],
    [
      'in many chunks',
      chunked(...(padded(5_000).match(/.{1,100}/g) ?? [])),
      { ...TYPE, 'Transfer-Encoding': 'chunked' },
    ],
    ['of no type', padded(4_097), {}],
    ['of another type', padded(4_097), { 'Content-Type': 'text/plain' }],
  ])('%s is refused before anybody is asked', async (_what, body, headers) => {
    expect(await refusalOf(body, headers)).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  })

  it('is refused in words about this call', async () => {
    expect(problem(await post(padded(5_000), TYPE)).detail).toBe('This call takes a body of at most 4096 bytes.')
  })
})

describe('a body that is taken', () => {
  it.each([
    ['of 4 KiB', padded(4_096), TYPE],
    ['in chunks', chunked('{"dry', 'Run":true}'), { ...TYPE, 'Transfer-Encoding': 'chunked' }],
    ['with a charset', DRY, { 'Content-Type': 'application/json; charset=utf-8' }],
    // Whatever it is called, it is read as UTF-8: no charset makes other words of these bytes.
    ['with another charset', DRY, { 'Content-Type': 'application/json; charset=utf-7' }],
    ['with a type in capitals', DRY, { 'Content-Type': 'Application/JSON' }],
    ['with a blank before its type', DRY, { 'Content-Type': ' application/json' }],
  ])('%s', async (_what, body, headers) => {
    const answer = await post(body, headers)
    expect([answer.status, reportIn(answer).dryRun]).toEqual([200, true])
  })

  it('may be none at all, of length 0 or without any, and then the connection stays', async () => {
    await using line = await dial(world.keyhole.url)
    const headers = { Authorization: `Bearer ${world.tokenOf('stranger')}` }
    line.send(get('/rotate', headers, 'POST') + get('/rotate', { ...headers, 'Content-Length': '0' }, 'POST'))
    const answers = [await line.answer(), await line.answer()]
    expect(answers.map(({ status, headers: { connection } }) => [status, connection])).toEqual([
      [403, 'keep-alive'],
      [403, 'keep-alive'],
    ])
  })
})

describe('a body of another type is refused', () => {
  it.each([
    ['none', {}],
    ['text/plain', { 'Content-Type': 'text/plain' }],
    ['text/plain with JSON in its parameter', { 'Content-Type': 'text/plain; a=application/json' }],
    ['a form', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['two types', { 'Content-Type': 'application/json, text/plain' }],
    ['a type that begins like JSON', { 'Content-Type': 'application/jsonx' }],
    ['a kin of JSON', { 'Content-Type': 'application/vnd.keyhole+json' }],
    ['a type with a tab', { 'Content-Type': 'application/\tjson' }],
    ['no type but a semicolon', { 'Content-Type': ';' }],
    ['an empty type', { 'Content-Type': '' }],
    ['multipart', { 'Content-Type': 'multipart/form-data; boundary=x' }],
  ])('%s', async (_what, headers) => {
    expect(await refusalOf(DRY, headers)).toEqual([400, 'MALFORMED_REQUEST'])
  })
})

describe('a body that is no JSON object with known members is refused', () => {
  it.each([
    ['nothing', ''],
    ['blanks', '   '],
    ['no JSON', 'dryRun=true'],
    ['half of it', '{"dryRun":'],
    ['more than one', '{}{}'],
    ['a comment', '{/**/}'],
    ['a byte order mark', '\u{feff}{}'],
    ['UTF-16', Buffer.from(DRY, 'utf16le')],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from('{"keys":["'), Buffer.from([0xff]), Buffer.from('"]}')])],
    ['gzip', gzipSync(DRY)],
    ['an array', '[]'],
    ['null', 'null'],
    ['a string', '"rotate"'],
    ['a member twice', '{"dryRun":true,"dryRun":false}'],
    ['a member twice, once escaped', '{"dryRun":true,"dry\\u0052un":false}'],
    ['the prototype', '{"__proto__":{"dryRun":true}}'],
    ['the prototype beside others', '{"dryRun":true,"__proto__":null}'],
    ['arrays in arrays', `{"keys":${'['.repeat(1_500)}${']'.repeat(1_500)}}`],
  ])('%s', async (_what, body) => {
    expect(await refusalOf(body)).toEqual([400, 'MALFORMED_REQUEST'])
  })

  it('gzip that says so, too: nothing is unpacked', async () => {
    expect(await refusalOf(gzipSync(DRY), { ...TYPE, 'Content-Encoding': 'gzip' })).toEqual([400, 'MALFORMED_REQUEST'])
  })
})

describe('a body that does not come', () => {
  it('is asked for where its sender waits for the word', async () => {
    await using line = await dial(world.keyhole.url)
    const headers = { ...TYPE, 'Content-Length': String(DRY.length), Expect: '100-continue' }
    line.send(get('/rotate', { Authorization: `Bearer ${world.tokenOf('rotator')}`, ...headers }, 'POST'))
    expect((await line.answer()).status).toBe(100)
    line.send(DRY)
    expect(reportIn(await line.answer()).dryRun).toBe(true)
  })

  it.each([
    ['too long', { 'Content-Length': '5000' }, 413],
    ['to a path that is none', { 'Content-Length': '5' }, 404],
  ])('is not asked for where it is %s', async (_what, headers, status) => {
    await using line = await dial(world.keyhole.url)
    const path = status === 404 ? '/rotated' : '/rotate'
    line.send(get(path, { ...TYPE, ...headers, Expect: '100-continue' }, 'POST'))
    expect((await line.answer()).status).toBe(status)
  })

  it('because its sender left is no fault of keyhole, and is counted', async () => {
    const line = await dial(world.keyhole.url)
    line.send(`${get('/rotate', { ...TYPE, 'Content-Length': '100' }, 'POST')}{`)
    const { turnstile } = world.keyhole.serving.wired.services
    while (turnstile.inside() === 0) await new Promise(setImmediate)
    line.socket.resetAndDestroy()
    while (turnstile.inside() > 0) await new Promise(setImmediate)
    expect(world.keyhole.logLines.filter((text) => /"level":"error"/.test(text))).toEqual([])
    await world.clock.advance(1_000)
    const file = `${world.keyhole.directory}/audit.log`
    await until(async () => /"counts":\{[^}]*"ABANDONED":1/.test(await readFile(file, 'utf8')))
  })
})
