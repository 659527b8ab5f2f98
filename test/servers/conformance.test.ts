/** The cases that the stand-ins answer, put to the real servers: a failure here says that a case, and so a stand-in, lies. */
import { describe, expect, inject, test } from 'vitest'
import { CASES } from '../conformance/cases.ts'
import { runCase } from '../conformance/run.ts'
import { realEnvironment } from './environment.ts'

const world = realEnvironment(inject('connection'))

describe('the real servers answer as the cases say', () => {
  for (const [index, which] of CASES.entries()) {
    test(`${which.server}: ${which.title}`, async () => {
      expect(await runCase(world, which, `case-${index}`)).toEqual([])
    })
  }
})
