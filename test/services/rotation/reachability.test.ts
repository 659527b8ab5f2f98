import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import { reachability } from '../../../src/services/rotation/reachability.ts'

describe('an API server', () => {
  test('that was not asked is not down', () => {
    const server = reachability()
    server.mustBeReachable()
    expect(server.isDown()).toBe(false)
  })

  test('that was silent about all so far is down', () => {
    const server = reachability()
    server.silent()
    server.silent(new UpstreamError('kubernetes', 'timeout'))
    expect(server.isDown()).toBe(true)
    expect(() => server.mustBeReachable()).toThrow('KUBERNETES_UNAVAILABLE: kubernetes-silent')
  })

  test('is down for the first reason that is known', () => {
    const server = reachability()
    server.silent(new UpstreamError('kubernetes', 'timeout'))
    server.silent(new UpstreamError('kubernetes', 'garbage'))
    expect(() => server.mustBeReachable()).toThrow('KUBERNETES_UNAVAILABLE: kubernetes-timeout')
  })

  test.each([true, false])('that answered about one is not down, whichever came first', (isFirst) => {
    const server = reachability()
    if (isFirst) server.answered()
    server.silent()
    if (!isFirst) server.answered()
    server.mustBeReachable()
    expect(server.isDown()).toBe(false)
  })
})
