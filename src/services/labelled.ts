/**
 * Objects that hold plaintext and print as a label: to template strings, JSON, util.inspect, pino. What is hidden is
 * not enumerable either, because a test runner that finds two labels equal prints what is behind them.
 */
import { inspect } from 'node:util'

/** `shown` and `hidden` as one object, which every printer shows as `[label]`. */
export function labelled<S extends object, H extends object>(label: string, shown: S, hidden: H): S & H {
  const print = () => `[${label}]`
  const object: object = { ...shown, toString: print, toJSON: print, [inspect.custom]: print }
  for (const [name, value] of Object.entries(hidden)) Object.defineProperty(object, name, { value })
  return object as S & H
}
