/** What a person reads when their machine cannot build or start the servers. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { isRunning } from '../../src/testing/process-state.ts'
import { requireGo } from './build.ts'
import type { ServerProcess } from './server-process.ts'
import { serverProcess } from './server-process.ts'
import { until } from './until.ts'

describe('building', () => {
  test.each(['go version go1.26.0 linux/amd64', 'go version go1.30 darwin/arm64', 'go version go2.0.1 linux/arm64'])(
    'takes %s',
    (output) => expect(() => requireGo(output)).not.toThrow(),
  )

  test.each([
    ['go version go1.25.9 linux/amd64', 'this is Go 1.25'],
    ['go version go1.9 linux/amd64', 'this is Go 1.9'],
    ['', 'no Go was found'],
  ])('refuses "%s" and says what to install', (output, found) => {
    expect(() => requireGo(output)).toThrow(`Go 1.26 or newer builds the real servers; ${found}`)
  })
})

describe('a server process', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-process-'))
  afterAll(() => rmSync(directory, { recursive: true }))

  function shell(script: string, ready: () => Promise<boolean>, readyWithinMs = 60_000): ServerProcess {
    const logFile = join(directory, `${Math.random()}.log`)
    const options = { name: 'it', command: 'sh', args: ['-c', script], cwd: directory, logFile, readyWithinMs }
    return serverProcess({ ...options, ready })
  }
  const always = async (): Promise<boolean> => true
  const never = async (): Promise<boolean> => {
    throw new Error('nobody listens')
  }

  test('that ends before it is ready shows the end of its log', async () => {
    await expect(shell('echo no port left; exit 1', never).start()).rejects.toThrow(/ended before.*no port left/s)
  })

  test('that is never ready is given up', async () => {
    const it = shell('sleep 60', never, 500)
    await expect(it.start()).rejects.toThrow('was not ready in 500 ms')
    await it.kill()
  })

  test('is not started twice', async () => {
    const it = shell('sleep 60', always)
    await it.start()
    await expect(it.start()).rejects.toThrow('it runs already')
    await it.kill()
  })

  test('starts again after a kill, and a second kill has nothing to do', async () => {
    const it = shell('sleep 60', always)
    await it.start()
    await it.kill()
    await it.kill()
    await it.start()
    await it.kill()
  })

  test('takes what it started with it', async () => {
    const it = shell('sleep 60 & echo $! > child; wait', async () => readFileSync(join(directory, 'child')).length > 0)
    await it.start()
    const child = readFileSync(join(directory, 'child'), 'utf8').trim()
    await it.kill()
    await until('the child is dead', async () => !(await isRunning(Number(child))))
  })
})
