package ai.djl.huggingface.tokenizers;

import ai.djl.huggingface.tokenizers.jni.CharSpan;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

public class Encoding {
    private final JSONObject found;

    Encoding(JSONObject found) {
        this.found = found;
    }

    public long[] getIds() {
        return numbers("ids");
    }

    public long[] getTypeIds() {
        return numbers("type_ids");
    }

    public long[] getAttentionMask() {
        return numbers("attention_mask");
    }

    public long[] getSpecialTokenMask() {
        return numbers("special_tokens_mask");
    }

    public CharSpan[] getCharTokenSpans() {
        long[] starts = numbers("starts");
        long[] ends = numbers("ends");
        CharSpan[] spans = new CharSpan[starts.length];
        for (int i = 0; i < spans.length; i++) {
            spans[i] = ends[i] == starts[i] ? null : new CharSpan((int) starts[i], (int) ends[i]);
        }
        return spans;
    }

    private long[] numbers(String name) {
        try {
            JSONArray all = found.getJSONArray(name);
            long[] made = new long[all.length()];
            for (int i = 0; i < made.length; i++) made[i] = all.getLong(i);
            return made;
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }
}
