/** What a stranger sees first: `npm run demo` and `npm run dev`, as they are run. */
import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { HeldPort } from '../src/standins/held-port.ts'
import { holdPort } from '../src/standins/held-port.ts'
import { runningIn } from '../src/testing/process-state.ts'
import { get, until } from './process/world.ts'

const ROOT = join(import.meta.dirname, '..')
const run = promisify(execFile)
/** Three parts of base64url, as every token that is handed out here. */
const JWT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/

/** Where what is tried here puts its files, and nobody else does: what is there is its own, and what it leaves is seen. */
const temporary = mkdtempSync(join(tmpdir(), 'keyhole-demo-'))
// npm has Node keep compiled code there.
const environment = { ...process.env, TMPDIR: temporary, NODE_DISABLE_COMPILE_CACHE: '1' }
afterAll(() => rmSync(temporary, { recursive: true }))

describe('npm run demo', () => {
  let output = ''

  beforeAll(async () => {
    // Rejects for any exit code but 0.
    const { stdout, stderr } = await run('npm', ['run', '--silent', 'demo'], { cwd: ROOT, env: environment })
    output = stdout + stderr.replace(/^npm warn .*\n/gm, '')
  })

  test('shows workloads getting what they may, each with its request, its answer and its audit record', () => {
    const scenes = output.split(/\n(?=\w+\/[\w-]+ (?:gets|is|has|reads))/).slice(1)
    const seen = scenes.map((scene) => [/^\S+/.exec(scene)?.[0], /^ {2}(\d{3}) /m.exec(scene)?.[1]])
    expect(seen).toEqual([
      ['payments/api', '200'],
      ['bi/reports', '200'],
      ['lab/notebook', '403'],
      ['lab/notebook', '403'],
      ['keyhole/keyhole-cron', '200'],
      ['payments/api', '200'],
    ])
    for (const scene of scenes)
      expect(scene).toMatch(/^ {2}(?:GET|POST) \S+ .*\n {2}\d{3} \{.*\}\n {2}audit \{.*"kind":"decision".*\}$/m)
    const [api = '', reports = '', stranger = '', nothing = '', rotation = '', afterwards = ''] = scenes
    expect(api).toContain('"PGPASSWORD":"correct horse battery staple","LEDGER_ID":12345678901234567890')
    expect(reports).toContain('"data":{"PGHOST":"db.payments.svc","PGPORT":5432},"missing":[]')
    const refusal = (scene: string) => /^ {2}(403 .*)$/m.exec(scene)?.[1]
    expect(refusal(stranger)).toBe(refusal(nothing))
    expect(rotation).toMatch(/^ {2}200 \{"type":"report",.*"complete":true,.*"advance":"made"/m)
    const answer = (scene: string) => /^ {2}(200 .*)$/m.exec(scene)?.[1]
    expect(answer(afterwards)).toBe(answer(api))
  })

  test('shows ciphertext at rest, no token, and nothing that nobody was granted', () => {
    expect(output.match(/secrets\.json: vault:v\d:/g)).toEqual(['secrets.json: vault:v1:', 'secrets.json: vault:v2:'])
    expect(output).not.toMatch(JWT)
    expect(output).not.toContain('only for the migrator')
    expect(output).not.toContain('undefined')
  })

  test('ends with what to do next', () => {
    expect(output.trimEnd().split('\n').at(-1)).toMatch(/^Next: npm run dev /)
  })

  test('ends quietly, with nothing left behind, when nobody reads on', async () => {
    expect(await unread('src/demo.ts')).toEqual({ code: 0, stderr: '' })
    expect(readdirSync(temporary)).toEqual([])
  })
})

/** As before `| head` that has seen enough: what becomes of a program whose output nobody reads. */
async function unread(...args: readonly string[]) {
  const child = spawn(process.execPath, args, { cwd: ROOT, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  return { code, stderr }
}

/** A port and the one above it, both ours. */
async function holdTwo(): Promise<readonly [HeldPort, HeldPort]> {
  for (;;) {
    const below = await holdPort()
    const above = await holdPort(below.port + 1).catch(() => undefined)
    if (above !== undefined) return [below, above]
    below[Symbol.dispose]()
  }
}

/** What has been started, as somebody sees it in a terminal. */
class Dev {
  readonly lines: string[] = []
  readonly errors: string[] = []
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  #isOver = false

  constructor(command: string, args: readonly string[], cwd: string) {
    // Its own process group, as a shell gives it: Ctrl-C reaches all of them.
    this.#child = spawn(command, args, { cwd, env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#closed = once(this.#child, 'close').then(() => {
      this.#isOver = true
    })
    if (this.#child.stdout) createInterface({ input: this.#child.stdout }).on('line', (line) => this.lines.push(line))
    if (this.#child.stderr) createInterface({ input: this.#child.stderr }).on('line', (line) => this.errors.push(line))
  }

  /** Waits for a line that begins so, after the first `since`. */
  async said(beginning: string, since = 0): Promise<string> {
    return await until(() => {
      if (this.#isOver) throw new Error(`it has ended: ${this.errors.join('\n')}`)
      return this.lines.slice(since).find((line) => line.startsWith(beginning))
    })
  }

  curls(): readonly string[] {
    return this.lines.filter((line) => line.startsWith('  curl '))
  }

  async ctrlC(): Promise<void> {
    this.#signal('SIGINT')
    await this.#closed
    await until(async () => !this.#signal(0) || (await runningIn(this.#child.pid ?? 0)) === 0)
  }

  [Symbol.dispose](): void {
    this.#signal('SIGKILL')
  }

  /** Whether there was anybody to get it. */
  #signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-(this.#child.pid ?? 0), signal)
    } catch {
      return false
    }
  }
}

const sh = async (line: string) => (await run('sh', ['-c', line])).stdout

/** Waits until a curl line gets its answer: one change may be told to node --watch as two, and it starts again twice. */
async function serves(line = ''): Promise<void> {
  await until(async () => (await sh(line).catch(() => '')).includes('"PGUSER":"api"'))
}

describe('npm run dev', () => {
  /** A checkout of its own: whoever saves a source of another one restarts nothing here, and nothing here restarts theirs. */
  const checkout = mkdtempSync(join(tmpdir(), 'keyhole-checkout-'))
  let ports: readonly HeldPort[]
  let port: number
  let dev: Dev

  beforeAll(async () => {
    for (const part of ['src', 'package.json']) cpSync(join(ROOT, part), join(checkout, part), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
    ports = await holdTwo()
    port = ports[0]?.port ?? 0
    dev = new Dev('npm', ['run', '--silent', 'dev', '--', '--port', String(port)], checkout)
    await dev.said('Ctrl-C')
  })

  afterAll(() => {
    dev[Symbol.dispose]()
    for (const held of ports) held[Symbol.dispose]()
    rmSync(checkout, { recursive: true })
  })

  test('says first, and last, that it is not for production, and prints no token', () => {
    expect(dev.lines[0]).toMatch(/^NOT FOR PRODUCTION: /)
    expect(dev.lines.findLast((line) => line.startsWith('Ctrl-C'))).toMatch(/NOT FOR PRODUCTION\.$/)
    expect(dev.lines.join('\n')).not.toMatch(JWT)
  })

  test('prints curl lines that work as they are', async () => {
    const answers: string[] = []
    for (const line of dev.curls()) answers.push(await sh(line))
    expect(answers).toEqual([
      expect.stringContaining('"secrets":[{"name":"db"'),
      expect.stringContaining('"PGUSER":"api"'),
      '{"name":"db","data":{"PGHOST":"db.payments.svc"},"missing":[]}',
      'certificate of payments\n',
      expect.stringContaining('"data":{"PGHOST":"db.payments.svc","PGPORT":5432}'),
      expect.stringMatching(/^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*"code":"NOT_GRANTED"/),
      expect.stringMatching(/"dryRun":true,.*"advance":"made"/),
      expect.stringMatching(/"complete":true,.*"advance":"made"/),
      expect.stringMatching(/^\{"running":null,"last":\{.*"complete":true,.*"ledger":\[\{"key":"payments"/),
      expect.stringMatching(/\[\+\] serving: ok\n(?:.*\n)*ready\n$/),
    ])
    await until(() => dev.lines.some((line) => line.startsWith('audit ') && line.includes('"code":"NOT_GRANTED"')))
  })

  test('prints how the command line rotates, which works as it is', async () => {
    const { stdout } = await run('sh', ['-c', await dev.said('  KEYHOLE_ADDR=')], { cwd: checkout })
    expect(stdout).toMatch(/payments/)
  })

  test('puts an edited policy in force', async () => {
    const directory = /The policy is in (\S+):/.exec(await dev.said('The policy'))?.[1] ?? ''
    const file = join(directory, 'payments.yaml')
    await writeFile(file, (await readFile(file, 'utf8')).replace('keys: [PGHOST, PGPORT]', 'keys: [PGHOST]'))
    const asReports = dev.curls().find((line) => line.includes('/reports)')) ?? ''
    const answer = () => sh(asReports).catch(() => '')
    await until(async () => (await answer()).includes('"data":{"PGHOST":"db.payments.svc"}'))
  })

  test('keeps its tokens in files of its port that only its user may read', () => {
    const directory = join(temporary, `keyhole-dev-${process.getuid?.()}-${port}`)
    const modeOf = (path: string) => statSync(path).mode & 0o777
    expect(modeOf(directory)).toBe(0o700)
    const tokens = readdirSync(directory)
    expect(tokens).toContain('api')
    for (const name of tokens) expect(modeOf(join(directory, name))).toBe(0o600)
  })

  test('starts again when a source changes, and lines that were printed before go on working', async () => {
    const [, before = ''] = dev.curls()
    const since = dev.lines.length
    appendFileSync(join(checkout, 'src/dev.ts'), '\n')
    await dev.said('Ctrl-C', since)
    await serves(before)
  })

  test('leaves another one alone, which has tokens of its own', async () => {
    using other = new Dev(process.execPath, ['src/dev.ts', '--port', '0'], checkout)
    await other.said('Ctrl-C')
    for (const one of [other, dev]) await serves(one.curls()[1])
    await other.ctrlC()
    expect(await sh(dev.curls()[1] ?? '')).toContain('"PGUSER":"api"')
    expect(other.errors).toEqual([])
  })

  test('is stopped by Ctrl-C, with nothing left behind', async () => {
    const origins = [port, port + 1].map((at) => `http://127.0.0.1:${at}`)
    expect(await Promise.all(origins.map(async (origin) => (await get(`${origin}/secrets`)).status))).toEqual([
      401, 404,
    ])
    expect(readdirSync(temporary)).not.toEqual([])
    await dev.ctrlC()
    for (const origin of origins) await expect(get(origin)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(dev.errors.filter((line) => !/^npm (?:warn|error)/.test(line))).toEqual([])
    expect(readdirSync(temporary)).toEqual([])
  })

  test('ends quietly, with nothing left behind, when nobody reads on', async () => {
    expect(await unread('src/dev.ts', '--port', '0')).toEqual({ code: 0, stderr: '' })
    expect(readdirSync(temporary)).toEqual([])
  })
})

describe('a sample world that cannot be', () => {
  /** What is said of it on the way out. */
  async function refused(...args: readonly string[]): Promise<unknown> {
    const over = new AbortController()
    onTestFinished(() => over.abort())
    const how = { cwd: ROOT, env: environment, signal: over.signal }
    return await run(process.execPath, ['src/dev.ts', ...args], how).catch((error: unknown) => error)
  }

  test.each([
    [0, 'KEYHOLE_LISTEN'],
    [1, 'KEYHOLE_MANAGEMENT_LISTEN'],
  ])('since the port %i above its own is taken says so, and what to do', async (above, setting) => {
    const ports = await holdTwo()
    const taken = createServer().listen(ports[above]?.port, '127.0.0.1')
    await once(taken, 'listening')
    expect(await refused('--port', String(ports[0].port))).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        new RegExp(
          `^${setting}: .*EADDRINUSE.*\\nStop what is there, or choose another: npm run dev -- --port 7080\\n$`,
        ),
      ),
    })
    taken.close()
    for (const port of ports) port[Symbol.dispose]()
  })

  test.each([
    ['--wrong', '"--wrong" is no flag of this verb.'],
    ['--port=99999', '--port must be a whole number up to 65534: operations listen one above.'],
    ['--port=65535', '--port must be a whole number up to 65534: operations listen one above.'],
    ['--port', '--port needs a value: --port N.'],
    ['7080', '"7080" is not expected: this verb takes flags only.'],
  ])('for its argument %s says what is wrong with it, and no more', async (argument, complaint) => {
    const stderr = `${complaint}\nnpm run dev -- --help tells what there is.\n`
    expect(await refused(argument)).toMatchObject({ code: 1, stderr, stdout: '' })
  })

  describe('where its tokens would be', () => {
    const elsewhere = join(temporary, 'elsewhere')

    async function planted(
      plant: (directory: string) => void,
    ): Promise<{ readonly port: number; readonly at: string }> {
      const ports = await holdTwo()
      const { port } = ports[0]
      const at = join(temporary, `keyhole-dev-${process.getuid?.()}-${port}`)
      mkdirSync(elsewhere)
      plant(at)
      onTestFinished(() => {
        for (const held of ports) held[Symbol.dispose]()
        for (const path of [at, elsewhere]) rmSync(path, { recursive: true, force: true })
      })
      return { port, at }
    }

    test.each<readonly [what: string, plant: (at: string) => void]>([
      ['a link to a directory', (at) => symlinkSync(elsewhere, at)],
      ['a link that leads nowhere', (at) => symlinkSync(join(elsewhere, 'nowhere'), at)],
      ['a file', (at) => writeFileSync(at, '')],
    ])('%s is, says so, and writes none', async (_what, plant) => {
      const { port, at } = await planted(plant)
      const stderr = `TMPDIR: ${at} is no directory of yours: no token is written there\n`
      expect(await refused('--port', String(port))).toMatchObject({ code: 1, stderr })
      expect(readdirSync(elsewhere)).toEqual([])
    })
  })

  test('takes no link for a file of tokens, in a directory that a killed one has left', async () => {
    const victim = join(temporary, 'victim')
    writeFileSync(victim, 'untouched')
    const ports = await holdTwo()
    const at = join(temporary, `keyhole-dev-${process.getuid?.()}-${ports[0].port}`)
    mkdirSync(at)
    symlinkSync(victim, join(at, 'api'))
    using dev = new Dev(process.execPath, ['src/dev.ts', '--port', String(ports[0].port)], ROOT)
    await dev.said('Ctrl-C')
    expect([readFileSync(victim, 'utf8'), await sh(dev.curls()[1] ?? '')]).toEqual([
      'untouched',
      expect.stringContaining('"PGUSER":"api"'),
    ])
    await dev.ctrlC()
    for (const port of ports) port[Symbol.dispose]()
  })
})
