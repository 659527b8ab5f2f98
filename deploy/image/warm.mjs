/**
 * Runs in the image while it is built: has record.mjs start the service as CMD does, until it is ready and has answered, so that
 * V8's cache holds what a start needs. Nothing is asked of anybody: the upstreams are ports of loopback where nobody listens.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'

const PROGRAM = '/app/keyhole.mjs'
const RECORD = '/warm/record.mjs'
const FLAGS = ['--max-semi-space-size=4', '--max-old-space-size=96', '--disable-sigusr1']
const SCRATCH = '/tmp/warm'
const READY_WITHIN_MS = 60_000

mkdirSync(`${SCRATCH}/policy`, { recursive: true })
writeFileSync(`${SCRATCH}/token`, 'e30.e30.e30')
writeFileSync(
  `${SCRATCH}/policy/policy.yaml`,
  `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: warm }
spec: { namespaces: [warm], rotation: { admins: [{ namespace: warm, serviceAccount: warm }] } }
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: warm, namespace: warm }
spec:
  secretRef: { name: warm, key: warm }
  transitKey: warm
  readers: [{ serviceAccount: warm, keys: [WARM] }]
`,
)

await serve()
for (const args of [['--version'], ['rotate', '--help'], ['check', '--help']]) run(args)
rmSync(SCRATCH, { recursive: true })

async function serve() {
  const management = '127.0.0.1:18081'
  const service = spawn(process.execPath, [...FLAGS, RECORD, 'serve'], {
    stdio: 'inherit',
    env: {
      ...process.env,
      KEYHOLE_REALM: 'warm',
      KEYHOLE_SERVE: 'read,rotate',
      KEYHOLE_LISTEN: '127.0.0.1:18443',
      KEYHOLE_MANAGEMENT_LISTEN: management,
      KEYHOLE_POLICY_DIR: `${SCRATCH}/policy`,
      KEYHOLE_KUBERNETES_URL: 'http://127.0.0.1:9',
      KEYHOLE_KUBERNETES_TOKEN_FILE: `${SCRATCH}/token`,
      VAULT_ADDR: 'http://127.0.0.1:9',
      KEYHOLE_VAULT_TOKEN_FILE: `${SCRATCH}/token`,
    },
  })
  const ended = new Promise((resolve) => service.once('exit', (code) => resolve(code)))
  const deadline = Date.now() + READY_WITHIN_MS
  while (!(await answersOk(`http://${management}/readyz`))) {
    if (service.exitCode !== null || Date.now() > deadline) throw new Error('the service does not become ready')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  // A request without a token runs through the door, and no further.
  await fetch('http://127.0.0.1:18443/secrets/warm')
  await fetch(`http://${management}/metrics`)
  service.kill('SIGTERM')
  const code = await ended
  if (code !== 0) throw new Error(`the service ended with ${code}`)
}

async function answersOk(url) {
  try {
    return (await fetch(url)).ok
  } catch {
    return false
  }
}

function run(args) {
  const { status } = spawnSync(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`keyhole ${args.join(' ')} ended with ${status}`)
}
