/** The shell function of docs/how-to/rotate.md, with a kubectl that tells of a Job what each story says. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readPage } from './pages.ts'

const FUNCTION = /^rotate\(\) \{\n.*?^\}$/ms.exec(readPage('docs/how-to/rotate.md').text)?.[0] ?? ''

interface Story {
  /** How often pods are asked for before one has begun. */
  readonly startsAfter?: number
  /** The log breaks off, and the Job ends this many questions later. */
  readonly endsAfter?: number
  /** Of its pods, by when they ended; null is one that nobody knows the end of. */
  readonly exitCodes?: readonly (number | null)[]
}

interface Told {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  /** What was applied. */
  readonly job: string
}

const CRON_JOB = { ownerReferences: [{ kind: 'CronJob', name: 'keyhole-rotate' }], name: 'rotate-1' }
const JOB = {
  backoffLimit: 3,
  template: { spec: { containers: [{ name: 'rotate', command: ['keyhole', 'rotate'] }] } },
}

function tell(shell: readonly [string, ...string[]], args: string, story: Story): Told {
  const { startsAfter = 0, endsAfter, exitCodes = [0] } = story
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-rotate-'))
  const file = (name: string, text: unknown) =>
    writeFileSync(join(directory, name), typeof text === 'string' ? text : JSON.stringify(text))
  const program = (name: string, text: string) => {
    file(name, `#!/bin/sh\n${text}\n`)
    chmodSync(join(directory, name), 0o755)
  }
  const pods = exitCodes.map((exitCode, minute) => ({
    status: exitCode === null ? {} : { containerStatuses: [{ state: terminated(exitCode, minute) }] },
  }))
  try {
    file('job.json', { metadata: CRON_JOB, spec: JOB })
    // The newest first: the order of names is not that of ends.
    file('pods.json', { items: pods.toReversed() })
    program('sleep', 'exit 0')
    program(
      'kubectl',
      `cd ${directory}
asked() { echo >> "$1"; [ "$(wc -l < "$1")" -gt "$2" ]; }
case "$*" in
  *' create job '*) cat job.json ;;
  *'apply -f -') cat > applied.json; echo job.batch/rotate-1 created ;;
  *'get pods'*'-o name') if asked starts ${startsAfter}; then echo pod/rotate-1-a; fi ;;
  *' logs --follow job/rotate-'*) echo it says; [ ${endsAfter ?? -1} = -1 ] ;;
  *' get job '*) if asked ends ${endsAfter ?? 0}; then echo True; fi ;;
  *' get pods'*'-o json') cat pods.json ;;
  *) echo "no story has: $*" >&2; exit 9 ;;
esac`,
    )
    const [command, ...flags] = shell
    const env = { ...process.env, PATH: `${directory}:${process.env['PATH']}` }
    const { status, stdout, stderr } = spawnSync(command, [...flags, '-c', `${FUNCTION}\nrotate ${args}`], {
      env,
      encoding: 'utf8',
    })
    return { status, stdout, stderr, job: readFileSync(join(directory, 'applied.json'), 'utf8') }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function terminated(exitCode: number, minute: number): object {
  return { terminated: { exitCode, finishedAt: `2026-12-01T03:0${minute}:00Z` } }
}

describe.each([[['bash']], [['bash', '-eu', '-o', 'pipefail']], [['sh', '-eu']]] as const)('rotate in %j', (shell) => {
  test('runs the command with the flags that it was given, once, as a Job that is not the CronJob’s', () => {
    const { status, stdout, stderr, job } = tell(shell, "--dry-run --key='a b'", {})
    expect([status, stdout, stderr]).toEqual([0, 'job.batch/rotate-1 created\nit says\n', 'exit code 0\n'])
    const { metadata, spec } = JSON.parse(job)
    expect(metadata.ownerReferences).toBeUndefined()
    expect(spec.backoffLimit).toBe(0)
    expect(spec.template.spec.containers[0].command).toEqual(['keyhole', 'rotate', '--dry-run', '--key=a b'])
  })

  test.each([
    ['its pod', [3], 3],
    ['the pod that ended last, where one was evicted', [143, 4], 4],
    ['a pod that knows it, where another does not', [2, null], 2],
  ])('returns the exit code of %s', (_, exitCodes, status) => {
    expect(tell(shell, '', { exitCodes })).toMatchObject({ status, stderr: `exit code ${status}\n` })
  })

  test('returns 2, not done in time, where no pod tells', () => {
    expect(tell(shell, '', { exitCodes: [] })).toMatchObject({ status: 2 })
  })

  test('waits for a pod to begin, and for the end where its log breaks off', () => {
    expect(tell(shell, '', { startsAfter: 3, endsAfter: 4, exitCodes: [3] })).toMatchObject({ status: 3 })
  })

  test('gives up on a pod that does not begin', () => {
    const { status, stderr } = tell(shell, '', { startsAfter: 1_000 })
    expect(status).toBe(1)
    expect(stderr).toMatch(/^job\/rotate-\d+ does not start\n$/)
  })
})
