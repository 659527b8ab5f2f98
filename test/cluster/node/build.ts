/** Makes what the suite runs, kept for the next time: `npx node test/cluster/node/build.ts`. Says what it is doing. */
import { buildImage } from '../../image/build.ts'
import { build } from '../../servers/build.ts'
import { buildNode } from './needs.ts'

const say = (line: string) => void process.stdout.write(`${line}\n`)

await build(say)
await buildNode(say)
await buildImage(say)
