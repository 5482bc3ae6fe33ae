package ai.onnxruntime;

public class TensorInfo {
    final long[] shape;

    TensorInfo(long[] shape) {
        this.shape = shape;
    }

    public long[] getShape() {
        return shape.clone();
    }
}
