/**
 * A port of loopback that stays ours while nobody listens there. Of a closed port the system makes a present to whoever asks
 * for any next, and then a server that is "down" is somebody else's, and one that comes back finds its place taken. But it
 * gives away none with a connection that was once accepted there: whoever dials it is refused, and may listen there only by
 * naming it.
 */
import { on, once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

export interface HeldPort extends Disposable {
  readonly port: number
}

/** @param port 0: any free one. @throws the system's error when it is taken. */
export async function holdPort(port = 0): Promise<HeldPort> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const { port: held } = server.address() as AddressInfo
  const ends = await connectionTo(server, held)
  server.close()
  // Held for as long as the process lives, and no reason for it to live.
  for (const end of ends) end.unref()
  return {
    port: held,
    // With a reset, or the port would be kept from everybody for another minute.
    [Symbol.dispose]: () => ends.forEach((end) => void end.resetAndDestroy()),
  }
}

/** Both ends of a connection of our own: a stranger may dial there, too, and its end is not ours to keep. */
async function connectionTo(server: Server, port: number): Promise<readonly Socket[]> {
  const accepted = on(server, 'connection')
  const client = connect(port, '127.0.0.1')
  await once(client, 'connect')
  for await (const [socket] of accepted as AsyncIterable<[Socket]>) {
    socket.on('error', () => {})
    if (socket.remotePort === client.localPort) return [client, socket]
    socket.destroy()
  }
  throw new Error('unreachable: a server without an end of its connections')
}
