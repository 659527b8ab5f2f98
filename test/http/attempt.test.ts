import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { goneOf, peerOf } from '../../src/http/attempt.ts'
import { clientErrorOf } from '../../src/http/framework-errors.ts'

/** As much of a reply as is looked at. */
class Raw extends EventEmitter {
  destroyed = false
  writableFinished = false
}

const gone = (raw: Raw) => goneOf({ raw } as never)

describe('a caller', () => {
  test('whose socket is gone already is somebody all the same', () => {
    expect(peerOf({ socket: {} } as never)).toBe('unknown')
    expect(peerOf({ socket: { remoteAddress: '192.0.2.7' } } as never)).toBe('192.0.2.7')
  })

  test('that left before it was looked at has left', () => {
    expect(gone(Object.assign(new Raw(), { destroyed: true })).aborted).toBe(true)
  })

  test('that leaves before its answer is whole has left', () => {
    const raw = new Raw()
    const signal = gone(raw)
    expect(signal.aborted).toBe(false)
    raw.emit('close')
    expect(signal.aborted).toBe(true)
  })

  test('that has its answer has not', () => {
    const raw = new Raw()
    const signal = gone(raw)
    raw.writableFinished = true
    raw.emit('close')
    expect(signal.aborted).toBe(false)
  })
})

describe('a connection that breaks', () => {
  test.each(['ECONNRESET', 'EPIPE', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_TLS_HANDSHAKE_TIMEOUT'])(
    'with %s has nobody who could be told',
    (code) => {
      expect(clientErrorOf(Object.assign(new Error('broken'), { code }))).toBeUndefined()
    },
  )

  test('for a reason without a code is told that it is no HTTP', () => {
    expect(clientErrorOf(new Error('broken'))?.code).toBe('MALFORMED_REQUEST')
  })
})
