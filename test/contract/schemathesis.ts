/**
 * Has schemathesis attack a running keyhole with whatever openapi.yaml allows and forbids, once with the token of a reader
 * and once, where it rotates, with an admin's: `npx node test/contract/schemathesis.ts`. Its path comes from KEYHOLE_SCHEMATHESIS, or from the environment that
 * test/servers/build.ts makes. Leaves with its exit code.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Workload } from '../../src/testing/sample.ts'
import { SAMPLE_POLICY } from '../../src/testing/sample.ts'
import { startKeyhole } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { programs } from '../servers/programs.ts'

const OPENAPI = fileURLToPath(new URL('../../openapi.yaml', import.meta.url))
const CONFIG = fileURLToPath(new URL('schemathesis.toml', import.meta.url))

/** Fixed, so that a failure is found again; bounded, so that a run takes a minute. */
const SEED = '20261122'
const EXAMPLES = '200'

/** What a busy machine delays must not look like an outage, nor a refusal like a flood: 5xx and 429 are findings. */
const PATIENT = { ...UNBOUNDED, KEYHOLE_LOG_LEVEL: 'error', KEYHOLE_REFUSALS_BURST: '10000' }

/**
 * The key is nobody's alone, so that nothing is retired: `"retire": "now"` would wait a minute each time. It is
 * answered with ROTATION_INCOMPLETE, which is expected in schemathesis.toml. What else a rotation does takes a moment.
 */
const POLICY = {
  ...SAMPLE_POLICY,
  'platform.yaml': SAMPLE_POLICY['platform.yaml'].replace('exclusive: true', 'exclusive: false'),
}

const RUNS: readonly { readonly as: Workload; readonly flags: readonly string[] }[] = [
  { as: 'api', flags: [] },
  { as: 'rotator', flags: ['--include-path', '/rotate'] },
]

async function main(): Promise<number> {
  const program = process.env['KEYHOLE_SCHEMATHESIS'] ?? join(dirname(programs().python), 'schemathesis')
  if (!existsSync(program)) {
    process.stderr.write(
      `no schemathesis at ${program}: run "npx node test/servers/build.ts", or set KEYHOLE_SCHEMATHESIS\n`,
    )
    return 1
  }
  for (const { as, flags } of RUNS) {
    const status = await attack(program, as, flags)
    if (status !== 0) return status
  }
  return 0
}

async function attack(program: string, as: Workload, flags: readonly string[]): Promise<number> {
  await using keyhole = await startKeyhole({ policy: POLICY, settings: PATIENT, audited: () => {} })
  // It keeps what it sent, tokens and all, in a directory under the one it runs in: this one is removed.
  const status = await run(program, keyhole.directory, [
    ...['--config-file', CONFIG, 'run', OPENAPI, '--url', keyhole.url],
    ...['--header', `Authorization: Bearer ${keyhole.tokenOf(as)}`, ...flags],
    ...['--checks', 'all', '--mode', 'all', '--phases', 'examples,coverage,fuzzing,stateful'],
    ...['--max-examples', EXAMPLES, '--seed', SEED, '--generation-database', 'none', '--no-color'],
  ])
  // schemathesis looks at what came back; what keyhole thinks of itself is in its log.
  const strange = keyhole.logLines.filter((line) => !line.includes('"msg":"refused: ROTATION_INCOMPLETE"'))
  for (const line of strange) process.stderr.write(`${line}\n`)
  return status === 0 && strange.length > 0 ? 1 : status
}

function run(program: string, cwd: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
}

process.exitCode = await main()
