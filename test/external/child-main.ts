/** What `inChild` runs: calls through each SDK to the given origin, and prints how they ended. */
import { systemClock } from '../../src/clock.ts'
import { openKubernetes } from '../../src/external/kubernetes.ts'
import { openSend, SendError } from '../../src/external/send.ts'
import { openVault } from '../../src/external/vault.ts'
import { token } from '../../src/opaque.ts'

const [what, origin = ''] = process.argv.slice(2)
const { send, close } = openSend({
  origin,
  connections: 1,
  maxBodyBytes: 65_536,
  callTimeoutMs: 60_000,
  clock: systemClock,
})
const never = new AbortController().signal

async function call(): Promise<string> {
  if (what === 'send') {
    const { status, body } = await send({ method: 'GET', path: '/a', headers: {} }, never)
    return `${status} ${body.toString()}`
  }
  const own = { current: () => token('canary-own'), again: () => token('canary-own') }
  const kubernetes = openKubernetes({ send, token: own })
  const review = await kubernetes.reviewToken(token('canary-caller'), 'keyhole', never)
  const secret = await kubernetes.getSecret('payments', 'db', never)
  const vault = openVault({ send })
  const login = await vault.login({ mount: 'kubernetes', role: 'reader', jwt: token('canary-jwt') }, never)
  const items = [{ ciphertext: 'vault:v1:canary-ciphertext' }]
  const opened = await vault.decrypt({ token: login.token, mount: 'transit', key: 'payments', items }, never)
  return [review.authenticated, secret?.uid, login.leaseSeconds, opened.length].join(' ')
}

try {
  process.stdout.write(await call())
} catch (error) {
  process.stdout.write(error instanceof SendError ? error.code : String(error))
}
await close()
