/** The service alone, as `npm start` runs it; in the image it is a verb, `keyhole serve`. */
import { untilTold } from './told.ts'

const stopping = untilTold(1)
const { runService } = await import('./service-process.ts')
await runService(process.env, stopping)
