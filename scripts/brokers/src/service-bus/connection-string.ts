/** A string that makes the SDK speak plain TCP to a port of loopback. */
export const connectionStringFor = (port: number): string =>
  `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=a;SharedAccessKey=a;UseDevelopmentEmulator=true;`
