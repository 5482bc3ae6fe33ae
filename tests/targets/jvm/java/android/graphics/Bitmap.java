package android.graphics;

public final class Bitmap {
    private final int[] pixels;
    private final int width;

    private Bitmap(int[] pixels, int width) {
        this.pixels = pixels;
        this.width = width;
    }

    public static Bitmap createBitmap(int[] colors, int width, int height, Config config) {
        return new Bitmap(colors.clone(), width);
    }

    public int getWidth() {
        return width;
    }

    public int getHeight() {
        return pixels.length / width;
    }

    public void getPixels(int[] made, int offset, int stride, int x, int y, int width, int height) {
        for (int row = 0; row < height; row++) {
            System.arraycopy(pixels, (y + row) * this.width + x, made, offset + row * stride, width);
        }
    }

    public enum Config { ARGB_8888 }
}
