/** What a stranger sees first: `npm run demo` and `npm run dev`, as they are run. */
import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { utimesSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { get, until } from './process/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const ROOT = join(import.meta.dirname, '..')
const run = promisify(execFile)
/** Three parts of base64url, as every token that is handed out here. */
const JWT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/

describe('npm run demo', () => {
  let output = ''

  beforeAll(async () => {
    // Rejects for any exit code but 0.
    const { stdout, stderr } = await run('npm', ['run', '--silent', 'demo'], { cwd: ROOT })
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
})

describe('npm run dev', () => {
  let child: ChildProcess
  let exited: Promise<unknown>
  let lines: string[] = []
  const errors: string[] = []

  beforeAll(async () => {
    // Its own process group, as a shell gives it: Ctrl-C reaches all of them.
    child = spawn('npm', ['run', '--silent', 'dev', '--', '--port', '0'], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    exited = new Promise((resolve) => child.once('close', resolve))
    if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
    if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => errors.push(line))
    await until(() => lines.some((line) => line.startsWith('Ctrl-C')))
  })

  afterAll(() => {
    if (isRunning()) process.kill(-(child.pid ?? 0), 'SIGKILL')
  })

  function isRunning(): boolean {
    try {
      return process.kill(-(child.pid ?? 0), 0)
    } catch {
      return false
    }
  }

  const curls = () => lines.filter((line) => line.startsWith('  curl '))
  const sh = async (line: string) => (await run('sh', ['-c', line])).stdout

  test('says first, and last, that it is not for production, and prints no token', () => {
    expect(lines[0]).toMatch(/^NOT FOR PRODUCTION: /)
    expect(lines.findLast((line) => line.startsWith('Ctrl-C'))).toMatch(/NOT FOR PRODUCTION\.$/)
    expect(lines.join('\n')).not.toMatch(JWT)
  })

  test('prints curl lines that work as they are', async () => {
    const answers: string[] = []
    for (const line of curls()) answers.push(await sh(line))
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
    await until(() => lines.some((line) => line.startsWith('audit ') && line.includes('"code":"NOT_GRANTED"')))
  })

  test('prints how the command line rotates, which works as it is', async () => {
    const line = lines.find((text) => text.startsWith('  KEYHOLE_ADDR=')) ?? ''
    const { stdout } = await run('sh', ['-c', line], { cwd: ROOT })
    expect(stdout).toMatch(/payments/)
  })

  test('puts an edited policy in force', async () => {
    const directory =
      /The policy is in (\S+):/.exec(lines.find((line) => line.startsWith('The policy')) ?? '')?.[1] ?? ''
    const file = join(directory, 'payments.yaml')
    await writeFile(file, (await readFile(file, 'utf8')).replace('keys: [PGHOST, PGPORT]', 'keys: [PGHOST]'))
    const asReports = curls().find((line) => line.includes('/reports)')) ?? ''
    await until(async () => (await sh(asReports)).includes('"data":{"PGHOST":"db.payments.svc"}'))
  })

  test('starts again when a source changes', async () => {
    const before = lines.length
    utimesSync(join(ROOT, 'src/dev.ts'), new Date(), new Date())
    await until(() => lines.slice(before).some((line) => line.startsWith('Ctrl-C')))
    lines = lines.slice(before)
    expect(await sh(curls()[1] ?? '')).toContain('"PGUSER":"api"')
  })

  test('is stopped by Ctrl-C, with nothing left behind', async () => {
    const url = /(http:\/\/[\d.:]+)\/secrets$/.exec(curls()[0] ?? '')?.[1] ?? ''
    expect((await get(`${url}/secrets`)).status).toBe(401)
    process.kill(-(child.pid ?? 0), 'SIGINT')
    await exited
    await until(() => !isRunning())
    await expect(get(`${url}/secrets`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(errors.filter((line) => !/^npm (?:warn|error)/.test(line))).toEqual([])
  })

  test('says what to do when its port, or the one above it, is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const dev = run(process.execPath, ['src/dev.ts', '--port', String(port)], { cwd: ROOT })
    // Which of the two it says is whichever it asks for first: another test may have the one above.
    await expect(dev).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^KEYHOLE_(?:MANAGEMENT_)?LISTEN: .*\nStop what is there, or choose another: npm run dev -- --port 7080\n$/,
      ),
    })
    taken.close()
  })
})
