import { describe, expect, it } from 'vitest'
import { contentOf } from '../../src/policy/in-force.ts'
import { BAD, GOOD } from './cases.ts'
import { complaints, documentsOf, grant, reader, transitKey } from './documents.ts'

describe('a document', () => {
  it.each(GOOD)('may be %s', (_, document) => {
    expect(complaints(document)).toEqual([])
    expect(documentsOf(document)).toHaveLength(1)
  })

  it.each(BAD)('is refused with one complaint: %s', (_, document, message) => {
    expect(complaints(document)).toEqual([message])
    expect(documentsOf(document)).toEqual([])
  })
})

describe('what a document comes to', () => {
  const content = (document: unknown) => documentsOf(document).map(contentOf)[0]

  it('is a Transit key with the defaults filled in', () => {
    expect(content(transitKey())).toEqual({
      name: 'payments',
      mount: 'transit',
      vaultRoles: {},
      namespaces: ['payments'],
      binding: 'place',
      allowTransplant: false,
      exclusive: false,
      rotation: { grace: 1, minIntervalMs: 3_600_000, admins: [] },
    })
  })

  it.each([
    ['0s', 0],
    ['45s', 45_000],
    ['30m', 1_800_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
  ])('has the interval %s as %d ms', (minInterval, minIntervalMs) => {
    expect(content(transitKey({ rotation: { minInterval } }))).toMatchObject({ rotation: { minIntervalMs } })
  })

  it('has admins that are bound to a pod, unless it says otherwise', () => {
    const rotation = {
      admins: [
        { namespace: 'keyhole', serviceAccount: 'cron' },
        { namespace: 'platform', serviceAccount: 'oncall', podBound: false },
      ],
    }
    expect(content(transitKey({ rotation }))).toMatchObject({
      rotation: {
        admins: [
          { namespace: 'keyhole', serviceAccount: 'cron', podBound: true },
          { namespace: 'platform', serviceAccount: 'oncall', podBound: false },
        ],
      },
    })
  })

  it('is a grant whose readers are of its own namespace, pod-bound, and not "default"', () => {
    expect(content(grant())).toEqual({
      namespace: 'payments',
      name: 'db',
      secret: 'payments-db',
      dataKey: 'secrets.json',
      transitKey: 'payments',
      format: 'json',
      readers: [
        { namespace: 'payments', serviceAccount: 'api', keys: ['A', 'B'], podBound: true, allowDefault: false },
      ],
    })
  })

  it('has no data key for files, and all keys as such', () => {
    const files = grant({ format: 'files', secretRef: { name: 's' }, readers: [reader({ allKeys: true })] })
    expect(content(files)).toMatchObject({ secret: 's', readers: [{ keys: 'all' }] })
    expect(content(files)).not.toHaveProperty('dataKey')
  })

  it('has until in milliseconds, whatever its zone', () => {
    const until = (text: string) => content(grant({ readers: [reader({ until: text })] }))
    const ms = Date.UTC(2026, 11, 31)
    expect(until('2026-12-31T00:00:00Z')).toMatchObject({ readers: [{ until: ms }] })
    expect(until('2026-12-30T19:00:00-05:00')).toMatchObject({ readers: [{ until: ms }] })
  })
})
