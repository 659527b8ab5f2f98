import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  connectionsTo,
  followersInMemory,
  foundInMemory,
  isRunning,
  residentBytes,
  runningIn,
} from '../../src/testing/process-state.ts'
import { until } from '../process/world.ts'

describe('what Linux tells of a child', () => {
  const marker = randomBytes(12).toString('hex')
  let server: Server
  let child: ChildProcess
  let pid: number

  beforeAll(async () => {
    server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const connected = new Promise((resolve) => server.once('connection', resolve))
    // Told on its command line in pieces, so that the whole is only where the child puts it.
    const source = `const kept = ['one.', 'two.'].map((end) => Buffer.from(${JSON.stringify([...marker])}.join('') + end));
      require('net').connect(${port}, '127.0.0.1', () => process.stdout.write('ready'));
      setInterval(() => kept.length, 1000)`
    child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'ignore'] })
    pid = child.pid ?? 0
    await Promise.all([connected, new Promise((resolve) => child.stdout?.once('data', resolve))])
  })
  afterAll(() => {
    child.kill('SIGKILL')
    server.close()
  })

  test('is what it keeps in its memory', async () => {
    const needles = [Buffer.from(`${marker}one.`), Buffer.from(`${marker}two.`), Buffer.from(`${marker}six.`)]
    expect(await foundInMemory(pid, needles)).toBe(2)
    const followers = await followersInMemory(pid, Buffer.from(marker), 4)
    expect([...followers]).toEqual(
      expect.arrayContaining(['one.', 'two.'].map((text) => Buffer.from(text).toString('hex'))),
    )
    expect(await followersInMemory(pid, randomBytes(16), 4)).toEqual(new Set())
  })

  test('is how large it is, and whom it is connected to', async () => {
    expect(await residentBytes(pid)).toBeGreaterThan(10_000_000)
    expect(await connectionsTo(pid, (server.address() as AddressInfo).port)).toBe(1)
    expect(await connectionsTo(pid, 1)).toBe(0)
  })

  test('is whether it runs, and how many of its group do: those that are dead and not fetched are none', async () => {
    // The shell would fetch its child, what it becomes does not.
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const exited = new Promise((resolve) => parent.once('exit', resolve))
    const group = parent.pid ?? 0
    const orphan = await new Promise<number>((resolve) => parent.stdout?.once('data', (id) => resolve(Number(id))))
    await until(async () => (await readFile(`/proc/${group}/comm`, 'utf8')) === 'sleep\n')
    expect([await isRunning(orphan), await runningIn(group)]).toEqual([true, 2])
    process.kill(orphan, 'SIGKILL')
    await until(async () => !(await isRunning(orphan)))
    expect([await readFile(`/proc/${orphan}/stat`, 'utf8'), await runningIn(group)]).toEqual([expect.any(String), 1])
    parent.kill('SIGKILL')
    await exited
    expect([await isRunning(group), await runningIn(group)]).toEqual([false, 0])
  })
})
