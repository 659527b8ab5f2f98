/**
 * Asks keyhole for a secret. Node and nothing more: take it, or write the same in your language.
 *
 * While keyhole cannot answer, or cannot be reached, it waits as long as keyhole says and asks again. What waiting does not
 * help ends it, with keyhole's own advice. Neither the token nor a value is in anything that it says.
 */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'

const LONGEST_ANSWER_MS = 10_000
const LONGEST_ANSWER_BYTES = 2 ** 21
const WAIT_SECONDS = 2
const LONGEST_WAIT_SECONDS = 60

/** No use in asking again. The message is for whoever runs this. */
export class Refused extends Error {}

/**
 * @param {string} path such as `/secrets/db`, or `/secrets/db.payments` for a grant of another namespace.
 * @param {{ address: string, caFile: string, tokenFile: string, say: (line: string) => void }} options
 * @returns {Promise<Record<string, unknown>>} the values by key
 */
export async function readSecret(path, options) {
  for (;;) {
    const answer = await ask(path, options)
    if (answer.status === 200 && isObject(answer.body?.data)) return answer.body.data
    const why = whyNot(answer)
    // Keyhole says itself what may pass. A gateway in front of it has no such word.
    if (answer.error === undefined && answer.body?.retryable !== true && answer.status !== 503) {
      throw new Refused(`keyhole refuses: ${why}`)
    }
    const seconds = Math.min(Number(answer.retryAfter) || WAIT_SECONDS, LONGEST_WAIT_SECONDS)
    options.say(`keyhole is not to be had yet (${why}); asking again in ${seconds} s`)
    await sleep(seconds * 1_000)
  }
}

function whyNot({ error, status, body }) {
  if (error !== undefined) return error
  return typeof body?.code === 'string' ? `${body.code}: ${body.detail}` : `status ${status}, and none of its answers`
}

/**
 * One GET. Token and CA are read each time, since the kubelet renews them.
 * @returns a status, with the body if it is JSON; or the error of a keyhole that cannot be reached.
 * @throws Refused for what is wrong here: a file, the address, or a certificate that the CA does not vouch for.
 */
async function ask(path, { address, caFile, tokenFile }) {
  const headers = { accept: 'application/json', authorization: `Bearer ${readText(tokenFile, 'token').trim()}` }
  // An agent of its own for each call: what was open to a pod that is gone is not tried again.
  const options = { ca: readText(caFile, 'CA'), headers, agent: false }
  const given = new AbortController()
  const late = setTimeout(() => given.abort(unreachable('ETIMEDOUT')), LONGEST_ANSWER_MS)
  try {
    const incoming = await sent(new URL(path, address), { ...options, signal: given.signal })
    const { statusCode: status, headers: answered } = incoming
    return { status, retryAfter: answered['retry-after'], body: parsed(await textOf(incoming)) }
  } catch (error) {
    const { code, message } = error.cause ?? error
    if (UNREACHABLE.has(code)) return { error: code }
    throw error instanceof Refused ? error : new Refused(`the call to ${address} fails: ${code ?? message}`)
  } finally {
    clearTimeout(late)
  }
}

function sent(url, options) {
  const { promise, resolve, reject } = Promise.withResolvers()
  request(url, options, resolve).on('error', reject).end()
  return promise
}

async function textOf(incoming) {
  const chunks = []
  let bytes = 0
  for await (const chunk of incoming) {
    bytes += chunk.length
    if (bytes > LONGEST_ANSWER_BYTES) throw new Refused('an answer that is too long for keyhole')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Anything else, such as a certificate that the CA did not sign, is not mended by waiting. */
const UNREACHABLE = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
])

function unreachable(code) {
  return Object.assign(new Error(code), { code })
}

function readText(file, what) {
  try {
    return readFileSync(file, 'utf8')
  } catch ({ code }) {
    throw new Refused(`the ${what} cannot be read from ${file} (${code})`)
  }
}

/** A number that would not be the same in JavaScript comes as the text that it is. */
function parsed(text) {
  try {
    return JSON.parse(text, (_key, value, { source }) =>
      typeof value === 'number' && `${value}` !== source ? source : value,
    )
  } catch {
    return undefined
  }
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
