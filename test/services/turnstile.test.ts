import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Leave } from '../../src/services/turnstile.ts'
import { turnstile } from '../../src/services/turnstile.ts'
import { settled } from '../virtual-clock.ts'

const patient = new AbortController().signal

describe('turnstile', () => {
  test('refuses who comes when the queue is full', async () => {
    const { enter } = turnstile({ inside: 1, waiting: 1, sharePerPeer: 1 })
    await enter('a', patient)
    void enter('b', patient)
    await expect(enter('c', patient)).rejects.toMatchObject({ code: 'OVERLOADED', why: 'queue-full' })
  })

  test('refuses a peer whose share of the queue is full, and nobody else', async () => {
    const gate = turnstile({ inside: 1, waiting: 4, sharePerPeer: 0.5 })
    const leave = await gate.enter('a', patient)
    const greedy = [gate.enter('a', patient), gate.enter('a', patient)]
    await expect(gate.enter('a', patient)).rejects.toMatchObject({ code: 'OVERLOADED' })
    const other = gate.enter('b', patient)
    leave()
    const leaves = [await greedy[0]]
    for (const waiter of [greedy[1], other]) {
      leaves.pop()?.()
      leaves.push(await waiter)
    }
  })

  test('a peer that floods does not keep another from the places that are free', async () => {
    const gate = turnstile({ inside: 4, waiting: 100, sharePerPeer: 0.5 })
    const flood = Array.from({ length: 40 }, () => gate.enter('flood', patient))
    await settled()
    expect(gate.inside()).toBe(2)
    expect(gate.waiting()).toBe(38)
    const leave = await gate.enter('b', patient)
    expect(gate.inside()).toBe(3)
    leave()
    for (const place of flood) (await place)()
  })

  test('takes nobody in whose signal has aborted', async () => {
    const gate = turnstile({ inside: 1, waiting: 1, sharePerPeer: 1 })
    await expect(gate.enter('a', AbortSignal.abort('gone'))).rejects.toBe('gone')
    expect(gate.inside()).toBe(0)
  })

  test('who gives up leaves its place in the queue, and its reason is handed on', async () => {
    const gate = turnstile({ inside: 1, waiting: 1, sharePerPeer: 1 })
    const leave = await gate.enter('a', patient)
    const hasty = new AbortController()
    const waiting = gate.enter('b', hasty.signal)
    hasty.abort('gave up')
    await expect(waiting).rejects.toBe('gave up')
    expect(gate.waiting()).toBe(0)
    const next = gate.enter('c', patient)
    leave()
    await next
    expect(gate.inside()).toBe(1)
  })

  test('who is let in and gives up in one turn is not in, and the next one is', async () => {
    const gate = turnstile({ inside: 1, waiting: 4, sharePerPeer: 1 })
    const leave = await gate.enter('a', patient)
    const [b, c] = [new AbortController(), new AbortController()]
    const broken = [gate.enter('b', b.signal), gate.enter('b', c.signal)]
    const next = gate.enter('c', patient)
    // As a connection breaks: each of its requests ends, and each end lets the next one in.
    leave()
    b.abort('broken')
    c.abort('broken')
    for (const waiting of broken) await expect(waiting).rejects.toBe('broken')
    ;(await next)()
    expect(gate.inside() + gate.waiting()).toBe(0)
  })

  test('who gives up once it is in still holds its place until it leaves', async () => {
    const gate = turnstile({ inside: 1, waiting: 1, sharePerPeer: 1 })
    const late = new AbortController()
    const leave = await gate.enter('a', late.signal)
    late.abort('too late')
    await settled()
    expect(gate.inside()).toBe(1)
    leave()
    expect(gate.inside()).toBe(0)
  })

  test('leaving twice frees one place', async () => {
    const gate = turnstile({ inside: 2, waiting: 0, sharePerPeer: 1 })
    const [leave] = [await gate.enter('a', patient), await gate.enter('a', patient)]
    leave()
    leave()
    expect(gate.inside()).toBe(1)
  })

  test('lets in who came first, passing over a peer at its share', async () => {
    const gate = turnstile({ inside: 2, waiting: 4, sharePerPeer: 0.5 })
    const order: string[] = []
    async function visit(peer: string, name: string): Promise<Leave> {
      const leave = await gate.enter(peer, patient)
      order.push(name)
      return leave
    }
    const [a1, b1] = [await visit('a', 'a1'), await visit('b', 'b1')]
    const [a2, c1, c2] = [visit('a', 'a2'), visit('c', 'c1'), visit('c', 'c2')]
    b1()
    await settled()
    expect(order).toEqual(['a1', 'b1', 'c1'])
    a1()
    await settled()
    expect(order).toEqual(['a1', 'b1', 'c1', 'a2'])
    ;(await c1)()
    ;(await a2)()
    ;(await c2)()
    expect(order.at(-1)).toBe('c2')
    expect(gate.inside() + gate.waiting()).toBe(0)
  })

  test('a share too small for one is one', async () => {
    const gate = turnstile({ inside: 3, waiting: 3, sharePerPeer: 0.01 })
    const leave = await gate.enter('a', patient)
    const waiting = gate.enter('a', patient)
    leave()
    ;(await waiting)()
  })

  test('never exceeds a bound or a share, loses no place, and lets everybody in in the end', async () => {
    const bounds = fc.record({
      inside: fc.integer({ min: 1, max: 5 }),
      waiting: fc.integer({ min: 0, max: 6 }),
      sharePerPeer: fc.constantFrom(0.25, 0.5, 1),
    })
    const step = fc.record({
      act: fc.constantFrom('enter', 'enter', 'leave', 'giveUp'),
      peer: fc.constantFrom('a', 'b', 'c'),
      at: fc.nat(8),
    })
    await fc.assert(
      fc.asyncProperty(bounds, fc.array(step, { maxLength: 40 }), async (bounds, steps) => {
        const gate = turnstile(bounds)
        const share = (bound: number) => Math.ceil(bound * bounds.sharePerPeer)
        const inside: { peer: string; leave: Leave }[] = []
        const waiting: { peer: string; controller: AbortController }[] = []

        function check(): void {
          expect(gate.inside()).toBe(inside.length)
          expect(gate.waiting()).toBe(waiting.length)
          expect(inside.length).toBeLessThanOrEqual(bounds.inside)
          expect(waiting.length).toBeLessThanOrEqual(bounds.waiting)
          for (const peer of 'abc') {
            const held = inside.filter((visit) => visit.peer === peer).length
            const queued = waiting.filter((visit) => visit.peer === peer).length
            expect(held).toBeLessThanOrEqual(share(bounds.inside))
            expect(queued).toBeLessThanOrEqual(share(bounds.waiting))
            // Nobody waits in front of a place that it could have.
            if (queued > 0) expect(inside.length === bounds.inside || held === share(bounds.inside)).toBe(true)
          }
        }

        for (const { act, peer, at } of steps) {
          if (act === 'enter') {
            const visit = { peer, controller: new AbortController() }
            waiting.push(visit)
            const stopWaiting = () => void waiting.splice(waiting.indexOf(visit), 1)
            gate.enter(peer, visit.controller.signal).then((leave) => {
              stopWaiting()
              inside.push({ peer, leave })
            }, stopWaiting)
          } else if (act === 'leave') inside.splice(at % (inside.length + 1), 1)[0]?.leave()
          else waiting[at]?.controller.abort('gave up')
          await settled()
          check()
        }
        for (let visits = waiting.length + inside.length; visits > 0; visits -= 1) {
          inside.shift()?.leave()
          await settled()
          check()
        }
        expect(gate.inside() + gate.waiting()).toBe(0)
      }),
      { seed: 3, numRuns: 200 },
    )
  })
})
