import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CASES } from './cases.ts'
import type { Environment } from './environment.ts'
import { runCase } from './run.ts'
import { startStandinsEnvironment } from './standins-environment.ts'

let world: Environment & AsyncDisposable

beforeAll(async () => {
  world = await startStandinsEnvironment()
})

afterAll(async () => {
  await world[Symbol.asyncDispose]()
})

describe('the stand-ins answer as the real servers do', () => {
  for (const [index, which] of CASES.entries()) {
    it(`${which.server}: ${which.title}`, async () => {
      expect(await runCase(world, which, `case-${index}`)).toEqual([])
    })
  }

  it('every case has a title of its own', () => {
    const titles = CASES.map(({ server, title }) => `${server}: ${title}`)
    expect(titles.filter((title, index) => titles.indexOf(title) !== index)).toEqual([])
  })
})
