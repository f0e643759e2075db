/** Listening and closing, the same way for every peer. */
import type { AddressInfo, Server, Socket } from "node:net";

/** Where a server listens. `close` ends its open connections too: no test waits for a keep-alive. */
export interface Listening {
  port: number;
  close(): Promise<void>;
}

export async function listen(server: Server, port = 0, host = "127.0.0.1"): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
