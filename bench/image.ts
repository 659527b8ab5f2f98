/**
 * What the image costs: how long it takes to be ready against a Node that does nothing, what it holds of memory then, and what it
 * is larger than its base. Run from the image's own files, by chroot, so that no container engine is part of the time.
 */
import type { ChildProcess } from 'node:child_process'
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { publish } from '../src/testing/mounted-volume.ts'
import { residentBytes } from '../src/testing/process-state.ts'
import { SAMPLE_POLICY, SAMPLE_REALM } from '../src/testing/sample.ts'
import type { Standins } from '../src/testing/start-keyhole.ts'
import { startStandins } from '../src/testing/start-keyhole.ts'
import { basesOf, buildah } from '../test/image/bases.ts'
import { buildImage } from '../test/image/build.ts'
import type { Row } from './figures.ts'
import { median, ms, quantile, ratio, row, timed } from './figures.ts'

export interface ImageBench {
  readonly quick: boolean
  readonly say: (line: string) => void
}

/** A container of the image that nothing runs in: its files, and what its CMD is. */
interface Opened extends AsyncDisposable {
  readonly root: string
  readonly command: readonly string[]
  readonly addedBytes: number
}

const WARM_UP = 3
const MOUNTED = '/mounted'

export async function imageRows({ quick, say }: ImageBench): Promise<Row[]> {
  await using image = await open(say)
  await using standins = await startStandins()
  cpSync(standins.credentials, join(image.root, MOUNTED), { recursive: true, verbatimSymlinks: true })
  await publish(join(image.root, MOUNTED, 'policy'), SAMPLE_POLICY)
  // The image's user is not who made them.
  execFileSync('chmod', ['-R', 'a+rX', join(image.root, MOUNTED)])
  const programBytes = statSync(join(image.root, 'app/program.js')).size
  return [
    ...(await starts(image, standins, quick ? 10 : 60, say)),
    await idle(image, standins, quick ? 3 : 10, say),
    row('the bundle', megabytes(programBytes), '<= 4 MB', programBytes <= 4e6),
    row('the image over its base', megabytes(image.addedBytes), '<= 6 MB', image.addedBytes <= 6e6),
  ]
}

async function open(say: (line: string) => void): Promise<Opened> {
  const { reference } = await buildImage(say)
  const { run } = basesOf(readFileSync(join(import.meta.dirname, '../Dockerfile'), 'utf8'))
  const made = [reference, run].map((name) => buildah('from', '--pull-never', name))
  const [root = '', base = ''] = made.map((container) => buildah('mount', container))
  const inspected = JSON.parse(buildah('inspect', '--type', 'image', reference)) as {
    readonly OCIv1: { readonly config: { readonly Cmd: readonly string[] } }
  }
  const addedBytes = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => lstatSync(join(base, path), { throwIfNoEntry: false }) === undefined)
    .reduce((sum, path) => sum + fileBytes(join(root, path)), 0)
  return {
    root,
    command: inspected.OCIv1.config.Cmd,
    addedBytes,
    async [Symbol.asyncDispose]() {
      for (const container of made) buildah('rm', container)
    },
  }
}

function fileBytes(path: string): number {
  const stat = lstatSync(path)
  return stat.isDirectory() ? 0 : stat.size
}

async function starts(image: Opened, standins: Standins, rounds: number, say: (line: string) => void): Promise<Row[]> {
  say(`start: ${rounds} rounds of each in turn, after ${WARM_UP}`)
  const [node = ''] = image.command
  const floor: number[] = []
  const ours: number[] = []
  for (let round = 0; round < rounds + WARM_UP; round += 1) {
    const nothing = await timed(() => ended(within(image, [node, '-e', '0'])))
    let service: ChildProcess | undefined
    const ready = await timed(async () => {
      service = await startedIn(image, standins)
    })
    service?.kill('SIGKILL')
    if (round < WARM_UP) continue
    floor.push(nothing)
    ours.push(ready)
    if (round % 10 === 9) say(`  ${round + 1} of ${rounds + WARM_UP}`)
  }
  const times = median(ours) / median(floor)
  const shown = (samples: readonly number[]) => `${ms(median(samples))} (p99 ${ms(quantile(samples, 0.99))})`
  return [
    row(
      'from spawn to ready in the image, against `node -e 0` there, medians',
      `${ratio(times)}: ${shown(ours)} against ${shown(floor)}`,
      '<= 8x',
      times <= 8,
    ),
  ]
}

async function idle(image: Opened, standins: Standins, samples: number, say: (line: string) => void): Promise<Row> {
  say('memory of a service that nobody asks')
  const service = await startedIn(image, standins)
  const seen: number[] = []
  for (let sample = 0; sample < samples; sample += 1) {
    await sleep(1_000)
    seen.push(await residentBytes(service.pid ?? 0))
  }
  service.kill('SIGKILL')
  const most = Math.max(...seen)
  return row('resident memory of an idle service', megabytes(most), '<= 110 MB', most <= 110e6)
}

/** Resolves once /readyz says so. */
async function startedIn(image: Opened, { upstreams }: Standins): Promise<ChildProcess> {
  const child = within(image, image.command, {
    KEYHOLE_REALM: SAMPLE_REALM,
    KEYHOLE_SERVE: 'read,rotate',
    KEYHOLE_LISTEN: '127.0.0.1:0',
    KEYHOLE_MANAGEMENT_LISTEN: '127.0.0.1:0',
    KEYHOLE_POLICY_DIR: `${MOUNTED}/policy`,
    KEYHOLE_KUBERNETES_URL: upstreams.kubernetes.url,
    KEYHOLE_KUBERNETES_TOKEN_FILE: `${MOUNTED}/kubernetes`,
    VAULT_ADDR: upstreams.vault.url,
    KEYHOLE_VAULT_TOKEN_FILE: `${MOUNTED}/vault`,
  })
  const lines: string[] = []
  const managementUrl = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr ?? process.stdin }).on('line', (line) => {
      lines.push(line)
      const [, url] = /"managementUrl":"([^"]+)"/.exec(line) ?? []
      if (url !== undefined) resolve(url)
    })
    child.once('close', () => reject(new Error(`the image does not serve:\n${lines.join('\n')}`)))
  })
  const { statusCode, body } = await request(`${managementUrl}/readyz`)
  await body.dump()
  if (statusCode !== 200) throw new Error(`/readyz of the image answers ${statusCode}`)
  return child
}

/** As its user. What chroot(1) adds, it adds to the floor as well. */
function within(image: Opened, command: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const args = ['--userspec=65532:65532', image.root, ...command]
  return spawn('chroot', args, { env: { PATH: process.env['PATH'], ...env }, stdio: ['ignore', 'ignore', 'pipe'] })
}

async function ended(child: ChildProcess): Promise<void> {
  await new Promise((resolve) => child.once('exit', resolve))
  if (child.exitCode !== 0) throw new Error('node -e 0 fails in the image')
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
