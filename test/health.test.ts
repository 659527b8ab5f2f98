import { describe, expect, test } from 'vitest'
import type { Component } from '../src/health.ts'
import { lastOutcome, openHealth } from '../src/health.ts'

describe('health', () => {
  const component = (differs: Partial<Component> = {}): Component => ({
    name: 'audit',
    ok: true,
    state: 'ok',
    required: true,
    ...differs,
  })

  test('is ready with nothing to watch, and as long as all that is required is well', () => {
    const health = openHealth()
    expect(health.ready()).toBe(true)
    health.watch(() => component())
    health.watch(() => component({ name: 'vault', ok: false, required: false }))
    expect(health.ready()).toBe(true)
  })

  test('is not ready while something required is not well, and is again when it is', () => {
    const health = openHealth()
    let ok = false
    health.watch(() => component())
    health.watch(() => component({ name: 'serving', ok }))
    expect(health.ready()).toBe(false)
    ok = true
    expect(health.ready()).toBe(true)
  })

  test('tells its components as they are now, in the order in which they were added', () => {
    const health = openHealth()
    let state = 'before'
    health.watch(() => component({ state }))
    health.watch(() => component({ name: 'policy' }))
    state = 'after'
    expect(health.components().map((told) => [told.name, told.state])).toEqual([
      ['audit', 'after'],
      ['policy', 'ok'],
    ])
  })
})

describe('the last outcome of an upstream', () => {
  test('is nothing before the first call, and that is not held against it', () => {
    expect(lastOutcome('vault').component()).toEqual({
      name: 'vault',
      ok: true,
      state: 'not asked yet',
      required: false,
    })
  })

  test.each(['200', '201', '204', '304', '307', '400', '403', '404', '409', '422', '429', '472', '473'])(
    'is well after a %s, which is an answer, and tells no more than that',
    (outcome) => {
      const last = lastOutcome('vault')
      last.told(outcome)
      expect(last.component()).toMatchObject({ ok: true, state: 'answers' })
    },
  )

  test.each(['401', '500', '502', '503', 'timeout', 'refused', 'reset', 'unreachable', 'too-large', 'protocol'])(
    'is not well after %s, and never required',
    (outcome) => {
      const last = lastOutcome('kubernetes')
      last.told(outcome)
      expect(last.component()).toEqual({
        name: 'kubernetes',
        ok: false,
        state: `last call: ${outcome}`,
        required: false,
      })
    },
  )

  test('is required while its certificate is not trusted and never was, and not once it has answered', () => {
    const last = lastOutcome('vault')
    last.told('tls')
    expect(last.component()).toEqual({ name: 'vault', ok: false, state: 'last call: tls', required: true })
    last.told('refused')
    expect(last.component()).toMatchObject({ ok: false, required: false })
    last.told('tls')
    expect(last.component()).toMatchObject({ ok: false, required: true })
    last.told('503')
    last.told('404')
    last.told('tls')
    expect(last.component()).toMatchObject({ ok: false, required: false })
  })

  test('is told of when it turns, and not of every call', () => {
    const told: string[] = []
    const last = lastOutcome('vault', ({ ok, state }) => told.push(`${ok} ${state}`))
    for (const outcome of ['200', '404', '200', 'timeout', 'refused', '503', '200', '200', 'reset']) last.told(outcome)
    expect(told).toEqual(['true answers', 'false last call: timeout', 'true answers', 'false last call: reset'])
  })

  test('is told of at once when the first call fails', () => {
    const told: string[] = []
    lastOutcome('vault', ({ state }) => told.push(state)).told('refused')
    expect(told).toEqual(['last call: refused'])
  })
})
