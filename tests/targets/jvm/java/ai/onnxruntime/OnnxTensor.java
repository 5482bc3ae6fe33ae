package ai.onnxruntime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.Arrays;
import java.util.Base64;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

public class OnnxTensor extends OnnxTensorLike {
    private final String type;
    private final ByteBuffer data;

    OnnxTensor(String type, long[] shape, ByteBuffer data) {
        super(new TensorInfo(shape));
        this.type = type;
        this.data = data.order(ByteOrder.LITTLE_ENDIAN);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, FloatBuffer values, long[] shape) throws OrtException {
        ByteBuffer data = room(values.remaining(), Float.BYTES, shape);
        data.asFloatBuffer().put(values.duplicate());
        return new OnnxTensor("float32", shape, data);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, LongBuffer values, long[] shape) throws OrtException {
        ByteBuffer data = room(values.remaining(), Long.BYTES, shape);
        data.asLongBuffer().put(values.duplicate());
        return new OnnxTensor("int64", shape, data);
    }

    private static ByteBuffer room(int count, int size, long[] shape) throws OrtException {
        if (Arrays.stream(shape).reduce(1, (a, b) -> a * b) != count) {
            throw new OrtException("Shape " + Arrays.toString(shape) + " does not fit a buffer of " + count + " elements.");
        }
        return ByteBuffer.allocate(count * size).order(ByteOrder.LITTLE_ENDIAN);
    }

    public FloatBuffer getFloatBuffer() {
        return type.equals("float32") ? data.asFloatBuffer() : null;
    }

    JSONObject json() throws JSONException {
        JSONArray shape = new JSONArray();
        for (long side : info.shape) shape.put(side);
        String values = Base64.getEncoder().encodeToString(data.array());
        return new JSONObject().put("type", type).put("shape", shape).put("data", values);
    }

    static OnnxTensor of(JSONObject json) throws JSONException {
        JSONArray sides = json.getJSONArray("shape");
        long[] shape = new long[sides.length()];
        for (int i = 0; i < shape.length; i++) shape[i] = sides.getLong(i);
        return new OnnxTensor(json.getString("type"), shape, ByteBuffer.wrap(Base64.getDecoder().decode(json.getString("data"))));
    }
}
