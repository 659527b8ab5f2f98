/** A stream line by line, in constant memory whatever is in it. */

/** Far beyond the longest record. Of a longer line, the rest is left out. */
const MAX_LINE_BYTES = 1024 * 1024
const NEWLINE = 0x0a
const NOTHING = Buffer.alloc(0)

/**
 * @param act gets each line without its newline.
 * @param read is told how many bytes there were more.
 */
export async function eachLine(
  stream: AsyncIterable<Buffer>,
  act: (line: Buffer) => void,
  read: (bytes: number) => void,
): Promise<void> {
  let begun: Buffer = NOTHING
  for await (const chunk of stream) {
    let from = 0
    for (let to = chunk.indexOf(NEWLINE); to !== -1; to = chunk.indexOf(NEWLINE, from)) {
      act(joined(begun, chunk.subarray(from, to)))
      begun = NOTHING
      from = to + 1
    }
    begun = joined(begun, chunk.subarray(from))
    read(chunk.length)
  }
  if (begun.length > 0) act(begun)
}

function joined(begun: Buffer, more: Buffer): Buffer {
  const fitting = more.subarray(0, MAX_LINE_BYTES - begun.length)
  return begun.length === 0 ? fitting : Buffer.concat([begun, fitting])
}
