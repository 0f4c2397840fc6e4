/* t/lib/picture.mjs: small pictures made and looked at without a library
 *
 *   const bytes = png(300, 100, (x, y) => [255, 0, 0]);
 *   const { format, width, height } = look(answer.bytes);
 *   const { width, height, pixel } = decodePng(answer.bytes);   // pixel(x, y) → [r, g, b]
 */
import zlib from 'node:zlib';

/* --- PNG ------------------------------------------------------------------------------------- */

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  const sum = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(zlib.crc32(body));
  return Buffer.concat([length, body, sum]);
}

const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

function header(width, height, depth, colours, interlaced = false) {
  const ihdr = Buffer.alloc(13);
  ihdr.writeUInt32BE(width, 0);
  ihdr.writeUInt32BE(height, 4);
  ihdr[8] = depth;
  ihdr[9] = colours;
  ihdr[12] = interlaced ? 1 : 0;
  return chunk('IHDR', ihdr);
}

/* 8 bits a colour; `colour(x, y)` gives [r, g, b]. `extra`: further chunks, [type, bytes]. */
export function png(width, height, colour = () => [200, 30, 30], extra = []) {
  const raw = Buffer.alloc(height * (1 + width * 3));
  let at = 0;
  for (let y = 0; y < height; y++) {
    raw[at++] = 0;
    for (let x = 0; x < width; x++) for (const value of colour(x, y)) raw[at++] = value;
  }
  const more = extra.map(([type, bytes]) => chunk(type, bytes));
  return Buffer.concat([signature, header(width, height, 8, 2), ...more, chunk('IDAT', zlib.deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]);
}

/* A picture of so many pixels, all of them 0, in few bytes: one bit a pixel. Interlaced, it can only be decoded as a whole. */
export function bomb(width, height, interlaced = false) {
  const size = (w, h) => h * (1 + Math.ceil(w / 8));
  const passes = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
  const bytes = interlaced ? passes.reduce((sum, [x, y, dx, dy]) => sum + size(Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)), 0) : size(width, height);
  return Buffer.concat([signature, header(width, height, 1, 0, interlaced), chunk('IDAT', zlib.deflateSync(Buffer.alloc(bytes), { level: 9 })), chunk('IEND', Buffer.alloc(0))]);
}

/* Of 8 bits and without interlacing, as our own are. */
export function decodePng(bytes) {
  const parts = [];
  let width, height, bands;
  for (let at = 8; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (type === 'IHDR') {
      width = data.readUInt32BE(0);
      height = data.readUInt32BE(4);
      bands = { 0: 1, 2: 3, 4: 2, 6: 4 }[data[9]];
      if (data[8] !== 8 || data[12] !== 0 || !bands) throw new Error(`a PNG of another kind: depth ${data[8]}, colours ${data[9]}`);
    }
    if (type === 'IDAT') parts.push(data);
    at += 12 + length;
  }
  const raw = zlib.inflateSync(Buffer.concat(parts));
  const stride = width * bands;
  const out = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let i = 0; i < stride; i++) {
      const a = i >= bands ? out[y * stride + i - bands] : 0;
      const b = y > 0 ? out[(y - 1) * stride + i] : 0;
      const c = i >= bands && y > 0 ? out[(y - 1) * stride + i - bands] : 0;
      const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
      const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
      const guess = [0, a, b, (a + b) >> 1, paeth][filter];
      out[y * stride + i] = raw[y * (stride + 1) + 1 + i] + guess;
    }
  }
  const pixel = (x, y) => {
    const at = y * stride + x * bands;
    return bands < 3 ? [out[at], out[at], out[at]] : [...out.subarray(at, at + 3)];
  };
  return { width, height, pixel };
}

/* --- JPEG ------------------------------------------------------------------------------------ */

/* Baseline, grey, each block of 8 × 8 of one shade: `shade(x, y)` of the block's place, 0 to 255. With
   `orientation` it has EXIF, which also carries the text `secret`; with `blocks` it ends after so many. */
export function jpeg(width, height, { shade = () => 128, orientation, secret = '', blocks = Infinity } = {}) {
  const bits = new Bits();
  let left = blocks;
  let before = 0;
  for (let y = 0; y < Math.ceil(height / 8); y++)
    for (let x = 0; x < Math.ceil(width / 8) && left-- > 0; x++) {
      const dc = Math.round((shade(x, y) - 128)); // quantised by 8, and 8 × the mean
      const difference = dc - before;
      const size = difference === 0 ? 0 : Math.floor(Math.log2(Math.abs(difference))) + 1;
      bits.put(size, 4); // our table: category n has the code n, of four bits
      if (size > 0) bits.put(difference > 0 ? difference : difference + (1 << size) - 1, size);
      bits.put(0, 1); // end of block
      before = dc;
    }
  const marker = (type, ...data) => {
    const body = Buffer.concat(data.map((d) => Buffer.from(d)));
    return Buffer.concat([Buffer.from([0xff, type, (body.length + 2) >> 8, (body.length + 2) & 255]), body]);
  };
  const exif = orientation ? [marker(0xe1, Buffer.from('Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0', 'latin1'), [orientation, 0, 0, 0, 0, 0, 0], Buffer.from(secret))] : [];
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]), ...exif,
    marker(0xdb, [0], Buffer.alloc(64, 8)),
    marker(0xc0, [8, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 0x11, 0]),
    marker(0xc4, [0x00], [0, 0, 0, 12, ...Array(12).fill(0)], Array.from({ length: 12 }, (_, i) => i)),
    marker(0xc4, [0x10], [1, ...Array(15).fill(0)], [0]),
    marker(0xda, [1, 1, 0, 0, 63, 0]),
    bits.end(), Buffer.from([0xff, 0xd9]),
  ]);
}

class Bits {
  bytes = [];
  byte = 0;
  count = 0;

  put(value, length) {
    for (let i = length - 1; i >= 0; i--) {
      this.byte = (this.byte << 1) | ((value >> i) & 1);
      if (++this.count === 8) this.#flush();
    }
  }

  #flush() {
    this.bytes.push(this.byte);
    if (this.byte === 0xff) this.bytes.push(0);
    this.byte = this.count = 0;
  }

  end() {
    while (this.count > 0) this.put(1, 1);
    return Buffer.from(this.bytes);
  }
}

/* --- GIF ------------------------------------------------------------------------------------- */

/* Frames of one colour each, out of black, white, red and blue: 0 to 3. `told`: the size that its heads tell. */
export function gif(width, height, frames = [1], told = [width, height]) {
  const screen = Buffer.from('GIF89a\0\0\0\0\x91\0\0', 'latin1');
  screen.writeUInt16LE(told[0], 6);
  screen.writeUInt16LE(told[1], 8);
  const palette = Buffer.from([0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 255]);
  const parts = frames.map((colour) => {
    const descriptor = Buffer.alloc(10);
    descriptor[0] = 0x2c;
    descriptor.writeUInt16LE(told[0], 5);
    descriptor.writeUInt16LE(told[1], 7);
    return Buffer.concat([Buffer.from([0x21, 0xf9, 4, 0, 10, 0, 0, 0]), descriptor, lzw(colour, width * height)]);
  });
  return Buffer.concat([screen, palette, ...parts, Buffer.from([0x3b])]);
}

/* Literal codes of three bits; a clear code after every two keeps them at three. */
function lzw(colour, count) {
  const bytes = [];
  let value = 0, size = 0;
  const put = (code) => {
    value |= code << size;
    for (size += 3; size >= 8; size -= 8) {
      bytes.push(value & 255);
      value >>= 8;
    }
  };
  for (let i = 0; i < count; i++) {
    if (i % 2 === 0) put(4);
    put(colour);
  }
  put(5);
  if (size > 0) bytes.push(value & 255);
  const blocks = [Buffer.from([2])];
  for (let i = 0; i < bytes.length; i += 255) blocks.push(Buffer.from([Math.min(255, bytes.length - i)]), Buffer.from(bytes.slice(i, i + 255)));
  return Buffer.concat([...blocks, Buffer.from([0])]);
}

/* --- looking --------------------------------------------------------------------------------- */

function lookAtJpeg(bytes) {
  for (let at = 2; at < bytes.length;) {
    const type = bytes[at + 1];
    if (type >= 0xc0 && type <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(type)) return { format: 'jpeg', width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  throw new Error('a JPEG without a frame');
}

function lookAtWebp(bytes) {
  const kind = bytes.toString('latin1', 12, 16);
  if (kind === 'VP8 ') return { format: 'webp', width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
  if (kind === 'VP8X') return { format: 'webp', width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
  const sizes = bytes.readUInt32LE(21);
  return { format: 'webp', width: (sizes & 0x3fff) + 1, height: ((sizes >> 14) & 0x3fff) + 1 };
}

export function look(bytes) {
  const text = bytes.toString('latin1', 0, 12);
  if (text.startsWith('\x89PNG')) return { format: 'png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  if (text.startsWith('\xff\xd8')) return lookAtJpeg(bytes);
  if (text.startsWith('GIF8')) return { format: 'gif', width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
  if (text.startsWith('RIFF')) return lookAtWebp(bytes);
  if (text.slice(4, 12) === 'ftypavif') {
    const at = bytes.indexOf('ispe', 0, 'latin1');
    return { format: 'avif', width: bytes.readUInt32BE(at + 8), height: bytes.readUInt32BE(at + 12) };
  }
  return { format: 'none' };
}
