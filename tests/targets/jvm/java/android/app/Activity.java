package android.app;

import android.content.Context;
import android.content.res.AssetManager;
import android.os.Bundle;
import android.view.View;
import java.io.File;

public class Activity extends Context {
    protected void onCreate(Bundle savedInstanceState) {}

    protected void onDestroy() {}

    public void setContentView(View view) {}

    @Override
    public AssetManager getAssets() {
        return new AssetManager();
    }

    @Override
    public File getNoBackupFilesDir() {
        return new File(System.getProperty("standin.files"));
    }
}
