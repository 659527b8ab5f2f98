import { defineProject } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default defineProject({
  test: {
    name: 'image',
    include: ['**/*.test.ts'],
    // One image, and one store that it is in.
    fileParallelism: false,
    testTimeout: 600_000,
    // The image is built in one of them.
    hookTimeout: 900_000,
  },
})
