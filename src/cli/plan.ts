/** What is asked of keyhole: one request, or as many as the keys need. Pure. */
import type { RotateRequest, RotationMode, RotationReport } from '../contract.ts'
import type { Due } from './due.ts'
import type { RotateOptions } from './rotate-options.ts'

/** For the keys that were named, or all. */
export function requestsFor(options: RotateOptions): readonly RotateRequest[] {
  const { keys, mode } = options
  return keys.length === 0 ? [requestOf(options, mode, undefined)] : inParts(options, mode, keys)
}

/** For the keys that are due. What is young is moved only: it has its new version. */
export function requestsForDue(options: RotateOptions, { old, behind }: Due): readonly RotateRequest[] {
  return [...inParts(options, 'rotate', old), ...inParts(options, 'rewrap', behind)]
}

/** Of what keyhole takes in one request, in names and in bytes. */
const MAX_KEYS = 100
const MAX_KEYS_BYTES = 3_800

function inParts(options: RotateOptions, mode: RotationMode, keys: readonly string[]): readonly RotateRequest[] {
  const parts: string[][] = []
  let bytes = 0
  for (const key of keys) {
    const part = parts.at(-1)
    const size = Buffer.byteLength(JSON.stringify(key)) + 1
    bytes += size
    if (part === undefined || part.length === MAX_KEYS || bytes > MAX_KEYS_BYTES) {
      parts.push([key])
      bytes = size
    } else {
      part.push(key)
    }
  }
  return parts.map((part) => requestOf(options, mode, part))
}

function requestOf(
  { dryRun, retire }: RotateOptions,
  mode: RotationMode,
  keys: readonly string[] | undefined,
): RotateRequest {
  return { ...(keys !== undefined && { keys }), mode, dryRun, retire }
}

/** Several requests are one rotation to whoever asked for it; it has the name and the mode of the first. */
export function merged(reports: readonly RotationReport[]): RotationReport | undefined {
  const [first] = reports
  const last = reports.at(-1)
  if (first === undefined || last === undefined) return undefined
  return {
    ...first,
    complete: reports.every(({ complete }) => complete),
    finishedAt: last.finishedAt,
    keys: reports.flatMap(({ keys }) => keys),
  }
}
